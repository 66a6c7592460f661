/* mesh-keys: `mesh keys` as a program of its own, for a machine that has nothing else of a mesh. */
#include "tiers/runner/harden.h"
#include "tiers/runner/keys_command.h"

int main(int argc, char **argv)
{
    (void)harden(HARDEN_TOOL);
    return keys_command(argc, argv);
}
