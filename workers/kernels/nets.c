/* Loss and gradient of many nets of one shape: linear layers, activations and maybe dropout between
   them.

   Model after model goes through its whole step, STRIP rows of the batch at a time, so that the
   weights, gradient and activations of all but the largest stay in the second cache from one layer
   to the next. What all members of a fold share, the inputs, is laid out once. Tests compare this
   with the same maths in torch operations, workers/backends/dense.py. */

#include "products.h"

#include "losses.h"

#include "activations.h"

#define STRIP 128
#define LINE (64 / (int64_t)sizeof(REAL)) /* numbers in a line of a cache */

enum { SQUARED_ERROR, BINARY, CROSS_ENTROPY, POISSON, HUBER, QUANTILE };

typedef struct {
    int64_t layers;             /* linear ones */
    int64_t columns;            /* numbers of a model */
    int64_t loss;               /* one of the above */
    double parameter;           /* delta of HUBER, level of QUANTILE */
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

/* Rows of one fold that are worked on together. */
typedef struct {
    int64_t fold, start, rows; /* `rows` from `start` on */
} Strip;

/* One model, and what it reads of a strip. */
typedef struct {
    int64_t member, place;       /* in its fold, and among the models of all folds */
    const REAL *weights;         /* (columns) */
    REAL *gradient;              /* (columns) */
    const REAL *inputs, *slices; /* as panels and in slices, with noise where there is some */
} Model;

/* Room to work in for one strip, in panels (rows / BLOCK, units, BLOCK) but for the slices. */
typedef struct {
    REAL *inputs, *input_slices;     /* what all members of a fold share */
    REAL *noise, *noise_slices;      /* the same of the noise */
    REAL *own_inputs, *own_slices;   /* one member's inputs with its noise */
    REAL *draws;                     /* of all layers with dropout, one after the other */
    REAL *hidden;                    /* outputs of all layers, one after the other */
    REAL *derivatives;               /* of activations other than ReLU; dropout included */
    REAL *slopes[2];                 /* gradients in a layer's output and in its input */
    REAL *slices;                    /* a layer's input, sliced */
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

static void lay_out_strip(const Net *net, const Batch *batch, Strip strip, const Room *room) {
    int64_t inputs = net->widths[0], rows = strip.rows;
    int64_t first = (strip.fold * batch->rows + strip.start) * inputs;
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
            lay_out_all(units, rows, batch->draws[layer] + strip.start * units, draws);
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

/* Adds the model's share of the noise to the inputs that it reads. */
static void read_with_noise(const Net *net, const Batch *batch, int64_t rows, const Room *room,
                            Model *model) {
    REAL level = batch->noise_scales[model->member];
    int64_t inputs = net->widths[0];
    add_noise(inputs * rows, room->inputs, room->noise, level, room->own_inputs);
    add_noise(sliced(inputs) * rows, room->input_slices, room->noise_slices, level,
              room->own_slices);
    model->inputs = room->own_inputs;
    model->slices = room->own_slices;
}

static Layer layer_of(const Net *net, int64_t number, const REAL *weights) {
    return (Layer){
        .in = net->widths[number],
        .out = net->widths[number + 1],
        .weight = weights + net->weights[number],
        .bias = weights + net->biases[number],
    };
}

/* Returns the logits of a strip, as panels. */
static REAL *run_forward(const Net *net, const Batch *batch, const Model *model, int64_t rows,
                         const Room *room) {
    const REAL *before = model->inputs;
    int64_t place = 0; /* of the layer's units in the room */
    for (int64_t number = 0;; number++) {
        Layer layer = layer_of(net, number, model->weights);
        int64_t count = layer.out * rows;
        int last = number + 1 == net->layers;
        int64_t activation = last ? -1 : net->activations[number];
        REAL *after = room->hidden + place, *derivatives = room->derivatives + place;
        for (int64_t first = 0; first < rows; first += BLOCK)
            forward(&layer, activation == RELU, before + first * layer.in,
                    after + first * layer.out);
        if (last) return after;
        if (activation != RELU) activate(activation, count, after, derivatives);
        REAL rate = dropout_after(net, batch, number, model->place);
        if (rate >= 0) {
            drop(count, room->draws + place, rate, after);
            if (activation != RELU) drop(count, room->draws + place, rate, derivatives);
        }
        before = after;
        place += layer.out * STRIP;
    }
}

/* Returns the loss of a strip; the logits become their gradient. */
static REAL run_loss(const Net *net, const Batch *batch, Strip strip, int64_t member,
                     REAL *logits) {
    int64_t outputs = net->widths[net->layers];
    REAL losses[BLOCK] = {0}, total = 0, smoothing = batch->smoothing ? batch->smoothing[member] : 0;
    for (int64_t first = 0; first < strip.rows; first += BLOCK, logits += outputs * BLOCK) {
        int64_t place = strip.fold * batch->rows + strip.start + first;
        const REAL *weights = batch->row_weights + place;
        if (net->loss == CROSS_ENTROPY)
            cross_entropy(outputs, logits, batch->classes + place, weights, smoothing, losses);
        else if (net->loss == BINARY)
            binary_cross_entropy(logits, batch->targets + place, weights, smoothing, losses);
        else if (net->loss == POISSON)
            poisson(logits, batch->targets + place, weights, losses);
        else if (net->loss == HUBER)
            huber(logits, batch->targets + place, weights, (REAL)net->parameter, losses);
        else if (net->loss == QUANTILE)
            pinball(logits, batch->targets + place, weights, (REAL)net->parameter, losses);
        else
            squared_error(outputs, logits, batch->targets + place, weights, losses);
    }
    for (int b = 0; b < BLOCK; b++) total += losses[b];
    return total;
}

/* From the gradient in the logits to that in all parameters: the first strip's is put in its place,
   those after it are added. */
static void run_backward(const Net *net, const Batch *batch, const Model *model, Strip strip,
                         REAL *logits, const Room *room) {
    Panels slope = {logits, strip.rows / BLOCK};
    int add = strip.start > 0;
    int64_t rows = strip.rows, place = logits - room->hidden; /* of the layer's units in the room */
    for (int64_t number = net->layers - 1;; number--) {
        Layer layer = layer_of(net, number, model->weights);
        bias_gradient(layer.out, slope, (Target){model->gradient + net->biases[number], add});
        place -= layer.in * STRIP;
        if (number) slice_all(layer.in, rows, room->hidden + place, room->slices);
        weight_gradient(&layer, slope, number ? room->slices : model->slices,
                        (Target){model->gradient + net->weights[number], add});
        if (!number) return;
        int relu = net->activations[number - 1] == RELU;
        const REAL *derivatives = (relu ? room->hidden : room->derivatives) + place;
        REAL *next = room->slopes[number % 2];
        for (int64_t first = 0; first < rows; first += BLOCK)
            backward(&layer, slope.numbers + first * layer.out,
                     (Derivative){derivatives + first * layer.in, relu}, next + first * layer.in);
        REAL rate = dropout_after(net, batch, number - 1, model->place);
        if (relu && rate >= 0) scale(layer.in * rows, 1 / (1 - rate), next);
        slope.numbers = next;
    }
}

/* --- all models --------------------------------------------------------------------------------- */

/* The strip of a fold from a row on. */
static Strip strip_from(const Batch *batch, int64_t fold, int64_t start) {
    int64_t left = batch->rows - start;
    return (Strip){fold, start, left < STRIP ? left : STRIP};
}

void net_is_fast(int64_t *fast) { *fast = FAST_PRODUCTS; }

/* Tells how many numbers the functions below need to work in. */
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
    for (int64_t fold = 0; fold < batch->folds; fold++)
        for (int64_t start = 0; start < batch->rows; start += STRIP) {
            Strip strip = strip_from(batch, fold, start);
            lay_out_strip(net, batch, strip, &room);
            for (int64_t member = 0; member < batch->members; member++) {
                int64_t place = fold * batch->members + member, own = place * net->columns;
                Model model = {member,      place,       weights + own,
                               gradients + own, room.inputs, room.input_slices};
                fetch_to_write(model.gradient, net->columns);
                if (member + 1 < batch->members)
                    fetch_to_read(model.weights + net->columns, net->columns);
                if (batch->noise) read_with_noise(net, batch, strip.rows, &room, &model);
                REAL *logits = run_forward(net, batch, &model, strip.rows, &room);
                REAL loss = run_loss(net, batch, strip, member, logits);
                losses[place] = start ? losses[place] + loss : loss;
                run_backward(net, batch, &model, strip, logits, &room);
            }
        }
}

/* Logits (folds, members, outputs, rows) without dropout or noise. */
void net_logits(const Net *net, const Batch *batch, const REAL *weights, REAL *logits, REAL *work) {
    Room room = room_in(net, 0, work);
    int64_t inputs = net->widths[0], outputs = net->widths[net->layers];
    for (int64_t fold = 0; fold < batch->folds; fold++)
        for (int64_t start = 0; start < batch->rows; start += STRIP) {
            int64_t rows = strip_from(batch, fold, start).rows;
            lay_out_all(inputs, rows, batch->inputs + (fold * batch->rows + start) * inputs,
                        room.inputs);
            for (int64_t member = 0; member < batch->members; member++) {
                int64_t place = fold * batch->members + member;
                Model model = {member, place, weights + place * net->columns, NULL,
                               room.inputs, NULL};
                const REAL *panels = run_forward(net, batch, &model, rows, &room);
                REAL *to = logits + place * outputs * batch->rows + start;
                for (int64_t first = 0; first < rows; first += BLOCK)
                    for (int64_t o = 0; o < outputs; o++)
                        memcpy(to + o * batch->rows + first, panels + first * outputs + o * BLOCK,
                               BLOCK * sizeof(REAL));
            }
        }
}
