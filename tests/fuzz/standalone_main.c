/* standalone_main.c: runs a fuzz target without libFuzzer: first every file of its corpus, then mutations of them.
 *
 *     fuzz_x [-seconds=N] [-runs=N] [-seed=N] [-dict=FILE] [file or folder ...]
 *
 * With files alone (no -seconds, no -runs) it replays them and stops: that is how a saved crash is looked at. A corpus
 * folder that does not exist is an empty one. The seed is printed at the start; the same seed, corpus and number of
 * runs give the same inputs. When the target dies, the input that killed it is written to crash-<target>-<seed> in the
 * working folder; an input that takes longer than INPUT_SECONDS_MAX counts as a death.
 *
 * It knows no coverage, so it only finds what is near the corpus; a libFuzzer build finds the rest.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INPUT_BYTES_MAX 4096
#define CORPUS_FILE_BYTES_MAX (1 << 20)
#define CORPUS_COUNT_MAX 10000
#define WORD_COUNT_MAX 2000
#define MUTATIONS_MAX 6
#define INPUT_SECONDS_MAX 20
#define PATH_BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
void __sanitizer_set_death_callback(void (*on_death)(void)) __attribute__((weak));

typedef struct input {
    uint8_t *data;
    size_t bytes;
} input;

typedef struct inputs {
    input rows[CORPUS_COUNT_MAX];
    size_t count;
} inputs;

static inputs corpus, words;

/* What runs now, for the crash file. Set before each run, read by the signal handler. */
static const uint8_t *running_data;
static size_t running_bytes;
static char crash_path[128];

static uint64_t random_state;

static uint64_t random_next(void)
{
    uint64_t mixed = random_state += UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

/* 0 .. bound-1; 0 when bound is 0. */
static size_t random_below(size_t bound)
{
    return bound == 0 ? 0 : (size_t)(random_next() % bound);
}

/* --- deaths ------------------------------------------------------------------------------------------------------ */

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return; /* nobody left to tell */
}

/* Writes the running input to the crash file. Async-signal-safe. */
static void save_running(void)
{
    if (running_data == NULL)
        return;
    int file = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0 || write(file, running_data, running_bytes) != (ssize_t)running_bytes)
        say("fuzz: could not save the input\n");
    running_data = NULL;
    say("fuzz: the input is in ");
    say(crash_path);
    say("\n");
}

static void on_fatal_signal(int number)
{
    say(number == SIGALRM ? "fuzz: one input takes too long\n" : "fuzz: the target died\n");
    save_running();
    signal(number == SIGALRM ? SIGABRT : number, SIG_DFL);
    raise(number == SIGALRM ? SIGABRT : number);
}

static void watch_for_deaths(const char *program, uint64_t seed)
{
    static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    const char *slash = strrchr(program, '/');
    snprintf(crash_path, sizeof crash_path, "crash-%.60s-%" PRIu64, slash != NULL ? slash + 1 : program, seed);
    struct sigaction action = {.sa_handler = on_fatal_signal, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        sigaction(fatal[i], &action, NULL);
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(save_running);
}

/* Runs the target on an exact heap copy, so that a sanitizer sees a read past the end. */
static void run_one(const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes > 0 ? bytes : 1);
    if (copy == NULL)
        abort();
    if (bytes > 0)
        memcpy(copy, data, bytes);
    running_data = copy;
    running_bytes = bytes;
    alarm(INPUT_SECONDS_MAX);
    LLVMFuzzerTestOneInput(copy, bytes);
    alarm(0);
    running_data = NULL;
    free(copy);
}

/* --- corpus and dictionary ---------------------------------------------------------------------------------------- */

static void inputs_add(inputs *all, size_t limit, const uint8_t *data, size_t bytes)
{
    if (all->count >= limit)
        return;
    uint8_t *copy = malloc(bytes > 0 ? bytes : 1);
    if (copy == NULL)
        abort();
    if (bytes > 0)
        memcpy(copy, data, bytes);
    all->rows[all->count++] = (input){copy, bytes};
}

static void read_corpus_file(const char *path)
{
    static uint8_t data[CORPUS_FILE_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "fuzz: cannot read '%s': %s\n", path, strerror(errno));
        exit(1);
    }
    inputs_add(&corpus, CORPUS_COUNT_MAX, data, fread(data, 1, sizeof data, file));
    fclose(file);
}

static int compare_entries(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

static void read_corpus_folder(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, compare_entries);
    for (int i = 0; i < count; i++) {
        char file_path[PATH_BYTES_MAX];
        struct stat about;
        snprintf(file_path, sizeof file_path, "%s/%s", path, entries[i]->d_name);
        if (stat(file_path, &about) == 0 && S_ISREG(about.st_mode))
            read_corpus_file(file_path);
        free(entries[i]);
    }
    free(entries);
}

static void read_corpus(const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return; /* a corpus that nobody has begun */
    if (S_ISDIR(about.st_mode))
        read_corpus_folder(path);
    else
        read_corpus_file(path);
}

/* Lines of "word", as libFuzzer reads them; \xNN and \" are understood. */
static void read_dictionary(const char *path)
{
    char line[512];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        uint8_t word[sizeof line];
        size_t bytes = 0;
        const char *at = strchr(line, '"');
        if (line[0] == '#' || at == NULL)
            continue;
        for (at++; *at != '\0' && *at != '"'; at++) {
            unsigned code;
            if (*at == '\\' && at[1] == 'x' && sscanf(at + 2, "%2x", &code) == 1) {
                word[bytes++] = (uint8_t)code;
                at += 3;
            } else {
                at += *at == '\\' && at[1] != '\0';
                word[bytes++] = (uint8_t)*at;
            }
        }
        inputs_add(&words, WORD_COUNT_MAX, word, bytes);
    }
    fclose(file);
}

/* --- mutations ---------------------------------------------------------------------------------------------------- */

static void insert_bytes(input *target, const uint8_t *data, size_t bytes)
{
    if (bytes > INPUT_BYTES_MAX - target->bytes)
        bytes = INPUT_BYTES_MAX - target->bytes;
    size_t at = random_below(target->bytes + 1);
    memmove(target->data + at + bytes, target->data + at, target->bytes - at);
    memcpy(target->data + at, data, bytes);
    target->bytes += bytes;
}

static void erase_bytes(input *target)
{
    size_t at = random_below(target->bytes);
    size_t bytes = 1 + random_below(random_below(target->bytes - at));
    memmove(target->data + at, target->data + at + bytes, target->bytes - at - bytes);
    target->bytes -= bytes;
}

static void repeat_bytes(input *target)
{
    uint8_t copy[INPUT_BYTES_MAX];
    size_t at = random_below(target->bytes);
    size_t bytes = 1 + random_below(target->bytes - at);
    memcpy(copy, target->data + at, bytes);
    insert_bytes(target, copy, bytes);
}

/* Numbers are lengths in most of our formats: the interesting ones are at the borders. */
static void insert_number(input *target)
{
    static const char *const numbers[] = {
        "-1", "0", "1", "2", "3", "15", "16", "127", "128", "255", "256", "1024", "65535", "65536", "536870912",
        "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807", "-9223372036854775808",
        "9223372036854775808", "18446744073709551615", "18446744073709551616", "1e400", "-inf", "nan", "0x10", "+1",
        "00", "1.5", " 1", "\r\n", "$", "*", "%", "~", ">", "|", ",", "#t", "_",
    };
    const char *number = numbers[random_below(sizeof numbers / sizeof numbers[0])];
    insert_bytes(target, (const uint8_t *)number, strlen(number));
}

static void change_byte(input *target)
{
    size_t at = random_below(target->bytes);
    switch (random_below(4)) {
    case 0: target->data[at] = (uint8_t)random_next(); break;
    case 1: target->data[at] ^= (uint8_t)(1u << random_below(8)); break;
    case 2: target->data[at] = (uint8_t)(target->data[at] + 1 + random_below(4)); break;
    default: target->data[at] = (uint8_t)"\r\n \0\xff*$0:+-"[random_below(11)]; break;
    }
}

static void mutate_once(input *target)
{
    uint8_t byte = (uint8_t)random_next();
    switch (target->bytes == 0 ? random_below(4) : random_below(9)) {
    case 0: insert_bytes(target, &byte, 1); break;
    case 1: insert_number(target); break;
    case 2:
    case 3: {
        const inputs *source = words.count > 0 && random_below(2) == 0 ? &words : &corpus;
        if (source->count > 0) {
            const input *piece = &source->rows[random_below(source->count)];
            size_t at = source == &words ? 0 : random_below(piece->bytes);
            size_t left = piece->bytes - at;
            insert_bytes(target, piece->data + at, source == &words ? left : random_below(left + 1));
        }
        break;
    }
    case 4: erase_bytes(target); break;
    case 5: repeat_bytes(target); break;
    case 6: target->bytes = random_below(target->bytes); break;
    default: change_byte(target); break;
    }
}

static void run_mutation(void)
{
    static uint8_t room[INPUT_BYTES_MAX];
    input target = {room, 0};
    if (corpus.count > 0 && random_below(16) != 0) {
        const input *source = &corpus.rows[random_below(corpus.count)];
        target.bytes = source->bytes < INPUT_BYTES_MAX ? source->bytes : INPUT_BYTES_MAX;
        memcpy(room, source->data, target.bytes);
    }
    for (size_t left = 1 + random_below(MUTATIONS_MAX); left > 0; left--)
        mutate_once(&target);
    run_one(target.data, target.bytes);
}

/* --- program ------------------------------------------------------------------------------------------------------ */

static bool read_flag(const char *argument, const char *name, uint64_t *ret_value)
{
    size_t bytes = strlen(name);
    if (strncmp(argument, name, bytes) != 0)
        return false;
    *ret_value = strtoull(argument + bytes, NULL, 0);
    return true;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    uint64_t seconds = 0, runs_max = 0, runs = 0;
    uint64_t seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();

    if (LLVMFuzzerInitialize != NULL)
        LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        if (read_flag(argv[i], "-seconds=", &seconds) || read_flag(argv[i], "-runs=", &runs_max) ||
            read_flag(argv[i], "-seed=", &seed))
            continue;
        if (strncmp(argv[i], "-dict=", 6) == 0)
            read_dictionary(argv[i] + 6);
        else
            read_corpus(argv[i]);
    }
    random_state = seed;
    printf("seed %" PRIu64 ", %zu corpus files, %zu words\n", seed, corpus.count, words.count);
    fflush(stdout);
    watch_for_deaths(argv[0], seed);

    run_one(NULL, 0);
    for (size_t i = 0; i < corpus.count; i++)
        run_one(corpus.rows[i].data, corpus.rows[i].bytes);
    double deadline = seconds_now() + (double)seconds;
    while (runs_max > 0 ? runs < runs_max : seconds > 0 && seconds_now() < deadline) {
        run_mutation();
        runs++;
    }
    printf("%" PRIu64 " mutations\n", runs);
    for (size_t i = 0; i < corpus.count; i++)
        free(corpus.rows[i].data);
    for (size_t i = 0; i < words.count; i++)
        free(words.rows[i].data);
    return 0;
}
