/* SPDX-License-Identifier: MIT */
/*
 * tcpx.c - the same server by the library, under the model that is named.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcpx.h>

#define BUFFER (16 * 1024)

static void echo(tcpx_conn *c, void *arg)
{
    char buf[BUFFER];
    ssize_t n;

    (void)arg;
    while ((n = tcpx_read(c, buf, sizeof(buf), TCPX_FOREVER)) > 0 &&
           tcpx_writen(c, buf, (size_t)n, NULL, TCPX_FOREVER) == 0)
        ;
}

static int model_of(const char *name)
{
    static const struct {
        const char *name;
        int model;
    } models[] = {{"iterative", TCPX_ITERATIVE}, {"fork", TCPX_FORK},
                  {"thread", TCPX_THREAD},       {"pool", TCPX_POOL},
                  {"fiber", TCPX_FIBER},         {"fiber-epoll", TCPX_FIBER}};

    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        if (strcmp(models[i].name, name) == 0)
            return models[i].model;
    }
    return -1;
}

int main(int argc, char **argv)
{
    tcpx_server_opts opts = tcpx_server_defaults();
    tcpx_server *s;

    opts.model = argc > 1 ? model_of(argv[1]) : TCPX_MODEL_DEFAULT;
    opts.workers = argc > 2 ? atoi(argv[2]) : 0;
    if (argc > 1 && strcmp(argv[1], "fiber-epoll") == 0)
        opts.engine = TCPX_ENGINE_EPOLL;
    opts.idle = 60 * TCPX_SEC;
    opts.handle_signals = 1;
    if (tcpx_server_create(&s, "127.0.0.1:0", echo, NULL, &opts)) {
        fprintf(stderr, "%s\n", tcpx_errmsg());
        return 1;
    }
    printf("listening on %s\n", tcpx_server_address(s));
    fflush(stdout);
    tcpx_server_run(s);
    return tcpx_server_free(s) != 0;
}
