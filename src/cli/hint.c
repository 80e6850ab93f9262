/* cli/hint.c: matches the words of a half-typed command against the syntax in the command table.
 *
 *   syntax    = sequence
 *   sequence  = item ...
 *   item      = PARAMETER | LITERAL | "[" choice "]" | "<" choice ">" | "..."
 *   choice    = sequence { "|" sequence }
 *
 * Literals are written without lower case letters. Outside brackets A|B without spaces is a choice
 * of two words. "..." makes its sequence repeatable. Every node remembers its piece of the syntax
 * text, and a hint is made of the pieces not yet matched, so it looks like the documentation.
 *
 * Matching is greedy and never goes back. Optional items next to each other may come in any order,
 * each once unless it repeats; those that begin with a literal are tried before those that take any
 * word.
 */
#include "cli/hint.h"

#include "cli/words.h"

#include "roan/commands.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#define NODES_MAX 512
#define DEPTH_MAX 16
#define NONE (-1)

typedef enum node_kind { NODE_WORD, NODE_SEQUENCE, NODE_CHOICE } node_kind;

/* Children are chained: first child in `child`, its siblings by `next`. Indexes, NONE at the end.
 * */
typedef struct node {
    node_kind kind;
    roan_slice text; /* with its brackets */
    int child;
    int next;
    bool is_optional;
    bool is_repeated;
    bool is_matched; /* an optional item that was given already */
} node;

typedef struct syntax {
    const char *at;
    node *nodes;
    int count;
    bool is_broken; /* too large or too deep to be understood */
} syntax;

typedef struct input {
    const roan_slice *words;
    size_t count;
    size_t used;
} input;

static int add_node(syntax *parse, node_kind kind, const char *start)
{
    if (parse->count == NODES_MAX) {
        parse->is_broken = true;
        return NODES_MAX - 1;
    }
    parse->nodes[parse->count] =
        (node){.kind = kind, .text = {start, 0}, .child = NONE, .next = NONE};
    return parse->count++;
}

static void skip_spaces(syntax *parse)
{
    while (isspace((unsigned char)*parse->at))
        parse->at++;
}

static void end_node(syntax *parse, int index)
{
    node *it = &parse->nodes[index];

    it->text.bytes = (size_t)(parse->at - it->text.data);
    while (it->text.bytes > 0 && isspace((unsigned char)it->text.data[it->text.bytes - 1]))
        it->text.bytes--;
}

static int parse_choice(syntax *parse, int depth);

/* A word; outside brackets it may be a choice of words. */
static int parse_word(syntax *parse, int depth)
{
    int index = add_node(parse, NODE_WORD, parse->at);
    int last = NONE;

    while (*parse->at != '\0' && strchr(" []<>|", *parse->at) == NULL)
        parse->at++;
    end_node(parse, index);
    if (depth > 0 || *parse->at != '|')
        return index;
    /* A|B|C: turn the first word into a child of a choice. */
    int choice = add_node(parse, NODE_CHOICE, parse->nodes[index].text.data);
    parse->nodes[choice].child = last = index;
    while (*parse->at == '|') {
        parse->at++;
        index = add_node(parse, NODE_WORD, parse->at);
        while (*parse->at != '\0' && strchr(" []<>|", *parse->at) == NULL)
            parse->at++;
        end_node(parse, index);
        parse->nodes[last].next = index;
        last = index;
    }
    end_node(parse, choice);
    return choice;
}

static int parse_item(syntax *parse, int depth)
{
    char open = *parse->at;
    const char *start = parse->at;
    int index;

    if (open != '[' && open != '<')
        return parse_word(parse, depth);
    parse->at++;
    index = parse_choice(parse, depth + 1);
    skip_spaces(parse);
    if (*parse->at == (open == '[' ? ']' : '>'))
        parse->at++;
    else
        parse->is_broken = true;
    parse->nodes[index].text.data = start;
    end_node(parse, index);
    parse->nodes[index].is_optional = open == '[';
    return index;
}

static int parse_sequence(syntax *parse, int depth)
{
    int index = add_node(parse, NODE_SEQUENCE, parse->at);
    int last = NONE;

    for (;;) {
        int item;
        skip_spaces(parse);
        if (*parse->at == '\0' || strchr("]>|", *parse->at) != NULL || parse->is_broken)
            break;
        if (strncmp(parse->at, "...", 3) == 0) {
            parse->at += 3;
            parse->nodes[index].is_repeated = true;
            continue;
        }
        item = parse_item(parse, depth);
        if (last == NONE)
            parse->nodes[index].child = item;
        else
            parse->nodes[last].next = item;
        last = item;
    }
    end_node(parse, index);
    return index;
}

static int parse_choice(syntax *parse, int depth)
{
    const char *start = parse->at;
    int first;
    int last;
    int choice;

    if (depth > DEPTH_MAX) {
        parse->is_broken = true;
        return 0;
    }
    first = last = parse_sequence(parse, depth);
    if (depth == 0 || *parse->at != '|')
        return first;
    choice = add_node(parse, NODE_CHOICE, start);
    parse->nodes[choice].child = first;
    while (*parse->at == '|' && !parse->is_broken) {
        int next;
        parse->at++;
        next = parse_sequence(parse, depth);
        parse->nodes[last].next = next;
        last = next;
    }
    end_node(parse, choice);
    return choice;
}

static bool is_literal(roan_slice text)
{
    for (size_t i = 0; i < text.bytes; i++)
        if (islower((unsigned char)text.data[i]))
            return false;
    return true;
}

/* True when the node can only begin with a word of the syntax itself. */
static bool begins_with_literal(const node *nodes, int index)
{
    const node *it = &nodes[index];

    if (it->kind == NODE_WORD)
        return is_literal(it->text);
    if (it->child == NONE)
        return false;
    if (it->kind == NODE_SEQUENCE)
        return begins_with_literal(nodes, it->child);
    for (int child = it->child; child != NONE; child = nodes[child].next)
        if (!begins_with_literal(nodes, child))
            return false;
    return true;
}

/* Appends a piece of the syntax, without the spaces around '|': there is only one row for all of
 * it. */
static void put_piece(roan_cli_text *out, roan_slice piece)
{
    if (out->bytes > 0 && piece.bytes > 0)
        roan_cli_text_put_char(out, ' ');
    for (size_t i = 0; i < piece.bytes; i++) {
        bool is_before_bar = i + 1 < piece.bytes && piece.data[i + 1] == '|';
        bool is_behind_bar = i > 0 && piece.data[i - 1] == '|';
        if (piece.data[i] != ' ' || !(is_before_bar || is_behind_bar))
            roan_cli_text_put_char(out, piece.data[i]);
    }
}

static bool match_node(node *nodes, int index, input *in, roan_cli_text *out);

/* Tries the optional items from `first` up to the next required one. Returns the one that matched.
 * */
static int match_optional(node *nodes, int first, input *in, roan_cli_text *out)
{
    for (int wants_literal = 1; wants_literal >= 0; wants_literal--) {
        for (int i = first; i != NONE && nodes[i].is_optional; i = nodes[i].next) {
            if (nodes[i].is_matched || begins_with_literal(nodes, i) != (wants_literal == 1))
                continue;
            if (match_node(nodes, i, in, out)) {
                nodes[i].is_matched = !nodes[i].is_repeated;
                return i;
            }
        }
    }
    return NONE;
}

/* Matches items from `item` on. When the words run out, the rest goes to `out`. */
static bool match_items(node *nodes, int item, input *in, roan_cli_text *out)
{
    while (item != NONE && in->used < in->count) {
        if (nodes[item].is_optional) {
            if (match_optional(nodes, item, in, out) == NONE)
                while (item != NONE && nodes[item].is_optional)
                    item = nodes[item].next;
            continue;
        }
        if (!match_node(nodes, item, in, out))
            return false;
        item = nodes[item].next;
    }
    if (in->used < in->count)
        return true; /* the rest belongs to whoever holds this sequence */
    for (; item != NONE; item = nodes[item].next)
        if (!nodes[item].is_matched)
            put_piece(out, nodes[item].text);
    return true;
}

/* Matches one node against the next words; false when they do not fit, with nothing used. */
static bool match_node(node *nodes, int index, input *in, roan_cli_text *out)
{
    node *it = &nodes[index];
    size_t before = in->used;

    switch (it->kind) {
    case NODE_WORD:
        if (is_literal(it->text) && (it->text.bytes != in->words[in->used].bytes ||
                                     strncasecmp(it->text.data, in->words[in->used].data,
                                                 it->text.bytes) != 0))
            return false;
        in->used++;
        return true;
    case NODE_SEQUENCE:
        if (it->child != NONE && match_items(nodes, it->child, in, out) && in->used > before)
            return true;
        in->used = before;
        return false;
    case NODE_CHOICE:
        for (int wants_literal = 1; wants_literal >= 0; wants_literal--)
            for (int child = it->child; child != NONE; child = nodes[child].next)
                if (begins_with_literal(nodes, child) == (wants_literal == 1) &&
                    match_node(nodes, child, in, out))
                    return true;
        return false;
    }
    return false;
}

/* Appends what is left of `arguments` after `words`. */
static void hint_arguments(const char *arguments, const roan_slice *words, size_t count,
                           roan_cli_text *out)
{
    node *nodes = roan_cli_alloc(NODES_MAX * sizeof *nodes);
    syntax parse = {.at = arguments, .nodes = nodes};
    input in = {.words = words, .count = count};
    roan_cli_text rest = {0};
    int root = parse_choice(&parse, 0);

    if (!parse.is_broken && *parse.at == '\0' &&
        match_items(nodes, nodes[root].child, &in, &rest) && in.used == in.count)
        roan_cli_text_append(out, rest.data, rest.bytes);
    roan_cli_text_done(&rest);
    free(nodes);
}

/* The subcommands of a command, as a choice. */
static void hint_subcommands(roan_slice name, roan_cli_text *out)
{
    size_t count;
    const roan_command_help *commands = roan_command_help_list(&count);
    bool is_first = true;

    for (size_t i = 0; i < count; i++) {
        const char *rest = commands[i].name + name.bytes;
        if (strlen(commands[i].name) <= name.bytes || *rest != '|' ||
            strncasecmp(commands[i].name, name.data, name.bytes) != 0)
            continue;
        if (!is_first)
            roan_cli_text_put_char(out, '|');
        is_first = false;
        for (rest++; *rest != '\0'; rest++)
            roan_cli_text_put_char(out, (char)toupper((unsigned char)*rest));
    }
}

/* The command whose name is words[0] or words[0]|words[1]; *ret_words tells how many. */
static const roan_command_help *find_command(const roan_cli_words *words, size_t *ret_words)
{
    size_t count;
    const roan_command_help *commands = roan_command_help_list(&count);
    const roan_command_help *found = NULL;

    for (size_t i = 0; i < count; i++) {
        const char *name = commands[i].name;
        size_t first = strcspn(name, "|");
        if (!roan_cli_is_word(words->items[0], name) &&
            (first != words->items[0].bytes ||
             strncasecmp(name, words->items[0].data, first) != 0))
            continue;
        if (name[first] == '\0' && found == NULL) {
            found = &commands[i];
            *ret_words = 1;
        } else if (name[first] == '|' && words->count > 1 &&
                   roan_cli_is_word(words->items[1], name + first + 1)) {
            *ret_words = 2;
            return &commands[i];
        }
    }
    return found;
}

void roan_cli_hint(const char *line, roan_cli_text *out)
{
    size_t bytes = strlen(line);
    bool ends_word = bytes > 0 && isspace((unsigned char)line[bytes - 1]);
    roan_cli_words words;
    const roan_command_help *command;
    size_t name_words = 0;
    size_t arguments;

    if (!roan_cli_words_split(line, &words))
        return;
    command = words.count > 0 ? find_command(&words, &name_words) : NULL;
    if (command != NULL) {
        arguments = words.count - name_words;
        if (!ends_word && arguments > 0)
            arguments--; /* the word being typed is not matched yet */
        if (command->arguments[0] != '\0')
            hint_arguments(command->arguments, words.items + name_words, arguments, out);
        else if (arguments == 0)
            hint_subcommands(words.items[0], out);
    }
    roan_cli_words_done(&words);
}
