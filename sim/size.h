/* mesh-sim run --size full | large: a whole mesh for hours of virtual time, with its cost. */
#ifndef SIM_SIZE_H
#define SIM_SIZE_H

/* argv[0] is "run". 0; 1: something was wrong in the run; 2: usage. */
int sim_size_main(int argc, char **argv);

#endif
