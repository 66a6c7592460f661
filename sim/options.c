#include "sim/options.h"

#include "core/plant.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool take_number(const char *command, const struct sim_option *o, const char *value)
{
    char *end = NULL;
    errno = 0; /* beyond 64 bits it is the greatest number, and no other sign of it */
    long long v = value == NULL ? 0 : strtoll(value, &end, 10);
    if (value == NULL || end == value || *end != '\0' || errno != 0 || v < o->least ||
        v > o->most) {
        fprintf(stderr, "%s: %s %s: a number from %lld to %lld is wanted\n", command, o->name,
                value == NULL ? "(nothing)" : value, (long long)o->least, (long long)o->most);
        return false;
    }
    *o->number = v;
    return true;
}

bool sim_options(const char *command, int argc, char **argv, const struct sim_option *options,
                 unsigned count)
{
    assert(command != NULL && options != NULL);
    for (int i = 0; i < argc; i++) {
        const struct sim_option *o = NULL;
        for (unsigned k = 0; k < count && o == NULL; k++) {
            o = strcmp(argv[i], options[k].name) == 0 ? &options[k] : NULL;
        }
        if (o == NULL) {
            fprintf(stderr, "%s: %s: no such option; --help lists them\n", command, argv[i]);
            return false;
        }
        if (o->flag != NULL) {
            *o->flag = true;
            continue;
        }
        i++;
        if (o->number != NULL && !take_number(command, o, i < argc ? argv[i] : NULL)) {
            return false;
        }
    }
    return true;
}

bool sim_options_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            return true;
        }
    }
    return false;
}

#ifdef MESH_PLANT
#define PLANT_ROW(id, name, where, what) {name, where, what},
static const char *const plants[][3] = {{"", "", ""}, PLANT_LIST(PLANT_ROW)};

bool sim_plant(const char *command, const char *name)
{
    bool list = strcmp(name, "list") == 0;
    for (unsigned i = 1; i < PLANT_COUNT; i++) {
        if (list) {
            printf("%s\t%s\t%s\n", plants[i][0], plants[i][1], plants[i][2]);
        } else if (strcmp(name, plants[i][0]) == 0) {
            mesh_plant = (enum plant)i;
            return true;
        }
    }
    if (list) {
        exit(sim_output_end(0));
    }
    fprintf(stderr, "%s: --plant %s: there is none of that name; `--plant list` has them\n",
            command, name);
    return false;
}

const char *sim_planted(void)
{
    return plants[mesh_plant][0];
}
#else
bool sim_plant(const char *command, const char *name)
{
    fprintf(stderr, "%s: --plant %s: built without planted bugs (-DMESH_PLANT=ON)\n", command,
            name);
    return false;
}

const char *sim_planted(void)
{
    return "";
}
#endif

bool sim_output_open(const char *command, const char *path)
{
    assert(command != NULL);
    FILE *to = path == NULL ? NULL : fopen(path, "a");
    if (path != NULL && to == NULL) {
        fprintf(stderr, "%s: %s: %s\n", command, path, strerror(errno));
        return false;
    }
    if (to != NULL) {
        fclose(to);
    }
    return true;
}

int sim_output_end(int status)
{
    bool failed = ferror(stdout) != 0; /* earlier; its reason is gone */
    errno = 0;
    failed = fflush(stdout) != 0 || failed;
    if (failed) {
        fprintf(stderr, "mesh-sim: stdout: not all could be written%s%s\n", errno != 0 ? ": " : "",
                errno != 0 ? strerror(errno) : "");
    }
    return failed && status == 0 ? 2 : status;
}
