/* The kernel proper.  It is compiled once per instruction set: the including file sets SLIR_NAME and the target. */
#include "linear_algebra.h"
#include "space.h"
#include "envelope.h"
#include "walk.h"
#include "neurons.h"
#include "proof.h"
#include "ascent.h"
#include "branch.h"
#include "explore.h"
#include "sharpen.h"

#define SLIR_JOIN2(a, b) a##b
#define SLIR_JOIN(a, b) SLIR_JOIN2(a, b)
#define SLIR_TEXT2(a) #a
#define SLIR_TEXT(a) SLIR_TEXT2(a)

const slir_kernel SLIR_JOIN(slir_kernel_, SLIR_NAME) = {
    SLIR_TEXT(SLIR_NAME), space_open, space_close, log_of, analyse, explore, descend, evaluate, sharpen,
};
