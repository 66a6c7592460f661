#include "core/plant.h"

#ifdef MESH_PLANT
enum plant mesh_plant = PLANT_NONE;
#else
_Static_assert(PLANT_COUNT > 12, "the list is there in every build; the bugs are not");
#endif
