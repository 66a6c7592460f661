/* mesh-sim run: a mesh in virtual time. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

/* argv[0] is "run". 0; 1: something was wrong in the run; 2: usage. */
int sim_run_main(int argc, char **argv);

#endif
