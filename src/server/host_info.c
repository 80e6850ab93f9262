/* server/host_info.c: memory and CPU of the process from /proc and getrusage. */
#include "server/host_info.h"

#include "server/housekeeping.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static size_t read_resident_bytes(void)
{
    unsigned long total, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        return 0;
    int read = fscanf(file, "%lu %lu", &total, &resident);
    fclose(file);
    return read == 2 ? resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static size_t system_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (size_t)pages * (size_t)page_bytes : 0;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void roan_server_describe(void *context, roan_host_info *info)
{
    roan_server *server = context;
    struct rusage self, children, thread;
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    getrusage(RUSAGE_THREAD, &thread);
    *info = (roan_host_info){
        .executable = server->executable,
        .config_file = server->config_path,
        .io = server->workers[0].net == NULL ? "" : roan_net_name(server->workers[0].net),
        .tcp_port = (int)server->engine->config.port,
        .process_id = getpid(),
        .rss_bytes = read_resident_bytes(),
        .rss_peak_bytes = (size_t)self.ru_maxrss * 1024,
        .cpu_system = seconds(self.ru_stime),
        .cpu_user = seconds(self.ru_utime),
        .cpu_system_children = seconds(children.ru_stime),
        .cpu_user_children = seconds(children.ru_utime),
        .cpu_system_main = seconds(thread.ru_stime),
        .cpu_user_main = seconds(thread.ru_utime),
        .lazy_free_pending = roan_reaper_pending(server->reaper),
        .lazy_freed = roan_reaper_freed(server->reaper),
        .system_bytes = system_bytes(),
    };
    struct utsname name;
    if (uname(&name) == 0)
        snprintf(info->os, sizeof info->os, "%.80s %.80s %.80s", name.sysname, name.release, name.machine);
}
