/* Loss and gradient of many nets of one shape: linear layers, activations and maybe dropout between
   them.

   Model after model goes through its whole step, STRIP rows of the batch at a time, so that the
   weights, gradient and activations of all but the largest stay in the second cache from one layer
   to the next. What all members of a fold share, the inputs, is laid out once. The same in torch
   operations is workers/backends/dense.py. */

#include "products.h"

#include "losses.h"

#include "activations.h"

#define STRIP 128
#define LINE (64 / (int64_t)sizeof(REAL)) /* numbers in a line of a cache */
#define PANELS(rows) ((rows) / BLOCK)

enum { SQUARED_ERROR, BINARY, CROSS_ENTROPY };

typedef struct {
    int64_t layers;             /* linear ones */
    int64_t columns;            /* numbers of a model */
    int64_t loss;               /* one of the above */
    const int64_t *widths;      /* (layers + 1): inputs, hidden units, outputs */
    const int64_t *weights;     /* (layers): where each layer's weights (out, in) start in a model */
    const int64_t *biases;      /* (layers) */
    const int64_t *activations; /* (layers - 1): after each layer but the last */
} Net;

typedef struct {
    int64_t folds, members;
    int64_t rows;                /* of a batch: a multiple of BLOCK */
    const REAL *inputs;          /* (folds, rows, inputs) */
    const REAL *noise;           /* as inputs, or NULL */
    const REAL *noise_scales;    /* (members): what the noise is multiplied by */
    const int64_t *classes;      /* (folds, rows) for CROSS_ENTROPY */
    const REAL *targets;         /* (folds, rows) for the other losses */
    const REAL *row_weights;     /* (folds, rows) */
    const REAL *smoothing;       /* (members), or NULL */
    const REAL *const *draws;    /* (layers - 1): of dropout after a layer (rows, units), or NULL */
    const REAL *const *dropouts; /* (layers - 1): its rates (folds, members) */
} Batch;

/* Room to work in for one strip, in panels (rows / BLOCK, units, BLOCK) but for the slices. */
typedef struct {
    REAL *inputs, *input_slices;     /* what all members of a fold share */
    REAL *noise, *noise_slices;      /* the same of the noise */
    REAL *own_inputs, *own_slices;   /* one member's, where there is noise */
    REAL *draws;                     /* of all layers with dropout, one after the other */
    REAL *hidden;                    /* what each layer gives, one after the other */
    REAL *derivatives;               /* of it, where the activation is not ReLU; dropout included */
    REAL *slopes[2];                 /* gradients in what a layer gives and in what it was given */
    REAL *slices;                    /* what a layer was given, sliced */
    int64_t size;                    /* of all, in numbers */
} Room;

static Room room_in(const Net *net, int noise, REAL *start) {
    int64_t inputs = net->widths[0], units = 0, widest = inputs, at = 0;
    for (int64_t layer = 1; layer <= net->layers; layer++) {
        units += net->widths[layer];
        widest = net->widths[layer] > widest ? net->widths[layer] : widest;
    }
    Room room;
#define TAKE(place, wide) (place = start ? start + at : start, at += (wide) * STRIP)
    TAKE(room.inputs, inputs);
    TAKE(room.input_slices, sliced(inputs));
    TAKE(room.noise, noise ? inputs : 0);
    TAKE(room.noise_slices, noise ? sliced(inputs) : 0);
    TAKE(room.own_inputs, noise ? inputs : 0);
    TAKE(room.own_slices, noise ? sliced(inputs) : 0);
    TAKE(room.draws, units);
    TAKE(room.hidden, units);
    TAKE(room.derivatives, units);
    TAKE(room.slopes[0], widest);
    TAKE(room.slopes[1], widest);
    TAKE(room.slices, sliced(widest));
#undef TAKE
    room.size = at;
    return room;
}

/* --- one strip of one fold: what its members share ---------------------------------------------- */

static void lay_out_all(int64_t units, int64_t rows, const REAL *from, REAL *panels) {
    for (int64_t first = 0; first < rows; first += BLOCK)
        lay_out(units, from + first * units, panels + first * units);
}

static void slice_all(int64_t units, int64_t rows, const REAL *panels, REAL *slices) {
    for (int64_t first = 0; first < rows; first += BLOCK)
        slice(units, rows, first, panels + first * units, slices);
}

static void lay_out_strip(const Net *net, const Batch *batch, int64_t fold, int64_t start,
                          int64_t rows, const Room *room) {
    int64_t inputs = net->widths[0], first = (fold * batch->rows + start) * inputs;
    lay_out_all(inputs, rows, batch->inputs + first, room->inputs);
    slice_all(inputs, rows, room->inputs, room->input_slices);
    if (batch->noise) {
        lay_out_all(inputs, rows, batch->noise + first, room->noise);
        slice_all(inputs, rows, room->noise, room->noise_slices);
    }
    REAL *draws = room->draws;
    for (int64_t layer = 0; layer + 1 < net->layers; layer++) {
        int64_t units = net->widths[layer + 1];
        if (batch->draws && batch->draws[layer])
            lay_out_all(units, rows, batch->draws[layer] + start * units, draws);
        draws += units * STRIP;
    }
}

/* --- one strip of one model --------------------------------------------------------------------- */

static void add_noise(int64_t count, const REAL *inputs, const REAL *noise, REAL scale, REAL *own) {
    for (int64_t i = 0; i < count; i++) own[i] = inputs[i] + scale * noise[i];
}

/* Inverted dropout: what is kept becomes larger by as much as is lost. A NaN stays one. */
static void drop(int64_t count, const REAL *draws, REAL rate, REAL *numbers) {
    REAL factor = 1 / (1 - rate);
    for (int64_t i = 0; i < count; i++) numbers[i] *= draws[i] >= rate ? factor : 0;
}

static void scale(int64_t count, REAL factor, REAL *numbers) {
    for (int64_t i = 0; i < count; i++) numbers[i] *= factor;
}

/* The rate of the dropout after a layer, in one model; negative where there is none. */
static REAL dropout_after(const Net *net, const Batch *batch, int64_t layer, int64_t model) {
    int has = batch->draws && layer + 1 < net->layers && batch->draws[layer];
    return has ? batch->dropouts[layer][model] : -1;
}

/* Logits, as panels. */
static REAL *run_forward(const Net *net, const Batch *batch, int64_t model, int64_t rows,
                         const REAL *weights, const REAL *inputs, const Room *room) {
    const REAL *before = inputs;
    int64_t place = 0; /* of the layer's units in the room */
    for (int64_t layer = 0;; layer++) {
        int64_t in = net->widths[layer], out = net->widths[layer + 1], count = out * rows;
        int last = layer + 1 == net->layers;
        int64_t activation = last ? -1 : net->activations[layer];
        REAL *after = room->hidden + place, *derivatives = room->derivatives + place;
        for (int64_t first = 0; first < rows; first += BLOCK)
            forward(out, in, weights + net->weights[layer], weights + net->biases[layer],
                    activation == RELU, before + first * in, after + first * out);
        if (last) return after;
        if (activation != RELU) activate(activation, count, after, derivatives);
        REAL rate = dropout_after(net, batch, layer, model);
        if (rate >= 0) {
            drop(count, room->draws + place, rate, after);
            if (activation != RELU) drop(count, room->draws + place, rate, derivatives);
        }
        before = after;
        place += out * STRIP;
    }
}

/* The loss; the logits become their gradient. */
static REAL run_loss(const Net *net, const Batch *batch, int64_t fold, int64_t member,
                     int64_t start, int64_t rows, REAL *logits) {
    int64_t outputs = net->widths[net->layers];
    REAL losses[BLOCK] = {0}, total = 0, smoothing = batch->smoothing ? batch->smoothing[member] : 0;
    for (int64_t first = 0; first < rows; first += BLOCK, logits += outputs * BLOCK) {
        int64_t place = fold * batch->rows + start + first;
        const REAL *weights = batch->row_weights + place;
        if (net->loss == CROSS_ENTROPY)
            cross_entropy(outputs, logits, batch->classes + place, weights, smoothing, losses);
        else if (net->loss == BINARY)
            binary_cross_entropy(logits, batch->targets + place, weights, smoothing, losses);
        else
            squared_error(outputs, logits, batch->targets + place, weights, losses);
    }
    for (int b = 0; b < BLOCK; b++) total += losses[b];
    return total;
}

/* From the gradient in the logits to that in all parameters, added to it or in its place. */
static void run_backward(const Net *net, const Batch *batch, int64_t model, int64_t rows,
                         const REAL *weights, const REAL *input_slices, REAL *logits, int add,
                         REAL *gradient, const Room *room) {
    REAL *slope = logits;
    int64_t place = logits - room->hidden; /* of the layer's units in the room */
    for (int64_t layer = net->layers - 1;; layer--) {
        int64_t in = net->widths[layer], out = net->widths[layer + 1];
        bias_gradient(out, PANELS(rows), slope, add, gradient + net->biases[layer]);
        place -= in * STRIP;
        if (layer) slice_all(in, rows, room->hidden + place, room->slices);
        weight_gradient(out, in, PANELS(rows), slope, layer ? room->slices : input_slices, add,
                        gradient + net->weights[layer]);
        if (!layer) return;
        int relu = net->activations[layer - 1] == RELU;
        const REAL *told = (relu ? room->hidden : room->derivatives) + place;
        REAL *next = room->slopes[layer % 2];
        for (int64_t first = 0; first < rows; first += BLOCK)
            backward(out, in, weights + net->weights[layer], slope + first * out, relu,
                     told + first * in, next + first * in);
        REAL rate = dropout_after(net, batch, layer - 1, model);
        if (relu && rate >= 0) scale(in * rows, 1 / (1 - rate), next);
        slope = next;
    }
}

/* --- all models --------------------------------------------------------------------------------- */

static int64_t strip(const Batch *batch, int64_t start) {
    return batch->rows - start < STRIP ? batch->rows - start : STRIP;
}

void net_is_fast(int64_t *fast) { *fast = FAST_PRODUCTS; }

/* How many numbers the functions below need to work in. */
void net_room(const Net *net, const int64_t *noise, int64_t *size) {
    *size = room_in(net, *noise != 0, NULL).size;
}

/* Asks for numbers that will be needed a while later, to write them or to read them. */
static void fetch_to_write(const REAL *numbers, int64_t count) {
    for (int64_t i = 0; i < count; i += LINE) __builtin_prefetch(numbers + i, 1, 2);
}

static void fetch_to_read(const REAL *numbers, int64_t count) {
    for (int64_t i = 0; i < count; i += LINE) __builtin_prefetch(numbers + i, 0, 2);
}

/* Losses (folds, members) and gradients of weights (folds, members, columns). Numbers between a
   model's parameters are left as they are. */
void net_gradient(const Net *net, const Batch *batch, const REAL *weights, REAL *gradients,
                  REAL *losses, REAL *work) {
    Room room = room_in(net, batch->noise != NULL, work);
    int64_t inputs = net->widths[0];
    for (int64_t fold = 0; fold < batch->folds; fold++)
        for (int64_t start = 0, rows; start < batch->rows; start += rows) {
            rows = strip(batch, start);
            lay_out_strip(net, batch, fold, start, rows, &room);
            for (int64_t member = 0; member < batch->members; member++) {
                int64_t model = fold * batch->members + member;
                const REAL *own = weights + model * net->columns;
                const REAL *panels = room.inputs, *slices = room.input_slices;
                fetch_to_write(gradients + model * net->columns, net->columns);
                if (member + 1 < batch->members) fetch_to_read(own + net->columns, net->columns);
                if (batch->noise) {
                    REAL level = batch->noise_scales[member];
                    add_noise(inputs * rows, panels, room.noise, level, room.own_inputs);
                    add_noise(sliced(inputs) * rows, slices, room.noise_slices, level,
                              room.own_slices);
                    panels = room.own_inputs;
                    slices = room.own_slices;
                }
                REAL *logits = run_forward(net, batch, model, rows, own, panels, &room);
                REAL loss = run_loss(net, batch, fold, member, start, rows, logits);
                losses[model] = start ? losses[model] + loss : loss;
                run_backward(net, batch, model, rows, own, slices, logits, start > 0,
                             gradients + model * net->columns, &room);
            }
        }
}

/* Logits (folds, members, outputs, rows) without dropout or noise. */
void net_logits(const Net *net, const Batch *batch, const REAL *weights, REAL *logits, REAL *work) {
    Room room = room_in(net, 0, work);
    int64_t inputs = net->widths[0], outputs = net->widths[net->layers];
    for (int64_t fold = 0; fold < batch->folds; fold++)
        for (int64_t start = 0, rows; start < batch->rows; start += rows) {
            rows = strip(batch, start);
            lay_out_all(inputs, rows, batch->inputs + (fold * batch->rows + start) * inputs,
                        room.inputs);
            for (int64_t member = 0; member < batch->members; member++) {
                int64_t model = fold * batch->members + member;
                const REAL *own = weights + model * net->columns;
                const REAL *panels = run_forward(net, batch, model, rows, own, room.inputs, &room);
                REAL *to = logits + model * outputs * batch->rows + start;
                for (int64_t first = 0; first < rows; first += BLOCK)
                    for (int64_t o = 0; o < outputs; o++)
                        memcpy(to + o * batch->rows + first, panels + first * outputs + o * BLOCK,
                               BLOCK * sizeof(REAL));
            }
        }
}
