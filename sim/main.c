/* mesh-sim: only the choice of what it does. Each has its own file and its own --help. */
#include "sim/arrival.h"
#include "sim/live.h"
#include "sim/options.h"
#include "sim/play.h"
#include "sim/replay.h"
#include "sim/run.h"
#include "sim/scenario_files.h"
#include "sim/swarm.h"
#include "sim/wire.h"
#include <stdio.h>
#include <string.h>

static int usage(FILE *out, int code)
{
    fputs(
        "usage: mesh-sim run ...       a mesh in virtual time, from a seed (mesh-sim run --help)\n"
        "       mesh-sim run --size deep ...   the swarm: small meshes, faults from seeds\n"
        "       mesh-sim scenario FILE.scn...  what a file does to a mesh and expects of it\n"
        "       mesh-sim live ...      agents of a real mesh (mesh-sim live --help)\n"
        "       mesh-sim arrival ...   prediction, the proof [--seeds N] [--json] [--plot "
        "FILE.svg]\n"
        "       mesh-sim replay ...    prediction on recorded delays: --trace FILE.csv\n"
        "                              [--tau SHARE] [--json]\n"
        "exit: 2 also when something could not be written\n",
        out);
    return code;
}

/* `--size deep` among the options: the swarm's. */
static int run(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--size") == 0 && strcmp(argv[i + 1], "deep") == 0) {
            return sim_swarm_main(argc - 1, argv + 1);
        }
    }
    return sim_run_main(argc, argv);
}

static int scenario(int argc, char **argv)
{
    return sim_scenario_main(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    play_wire_set(&wire_real);
    static const struct {
        const char *name;
        int (*main)(int argc, char **argv);
    } commands[] = {{"run", run},
                    {"scenario", scenario},
                    {"live", sim_live_main},
                    {"arrival", sim_arrival_main},
                    {"replay", sim_replay_main}};
    for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return sim_output_end(commands[i].main(argc - 1, argv + 1));
        }
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        return sim_output_end(usage(stdout, 0));
    }
    if (argc >= 2) {
        fprintf(stderr, "mesh-sim: '%.40s' is no command\n", argv[1]);
    }
    return usage(stderr, 2);
}
