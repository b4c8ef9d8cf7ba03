/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A model: weights, gradients, the current depth plan, and the passes over a batch.
 *
 * One training step of a host is (the last two lines are in optimizer.h and growth.h)
 *
 *     sgt_model_forward(&metrics, model, &batch);
 *     sgt_model_backward(model, 1.0 / (double)metrics.count, NULL);
 *     sgt_optimizer_step(&report, optimizer, NULL);
 *     sgt_growth_step(&event, growth, &input);
 *
 * Forward and backward may be repeated for several micro-batches before the step: gradients add up.
 * A backward needs a forward that no other backward, plan change or weight change has followed;
 * without that it is SGT_E_STATE and changes nothing.
 *
 * Threads. Calls that take a const sgt_model may run at the same time on one model, evaluations
 * too; a call that takes it without const excludes every other call on it.
 */
#ifndef SGT_MODEL_H
#define SGT_MODEL_H

#include <sgt/pattern.h>
#include <sgt/plan.h>
#include <sgt/tensor.h>

SGT_BEGIN_DECLS

/* Weights, gradients and a plan. Whatever needs a model holds a reference, which keeps it alive. */
typedef struct sgt_model sgt_model;

/* What the attention part of a block is. */
enum sgt_attention_kind {
    SGT_ATTENTION_SOFTMAX = 0, /* softmax over all earlier positions, RoPE, query heads in groups */
    SGT_ATTENTION_MULTIPLICATIVE = 1 /* the same softmax, whose queries, keys and values are made by
                               a multiplicative layer and convolutions over time and heads (sparse
                               q|k|v of Scaling Transformers, arXiv 2111.12763); n_kv_heads is
                               n_heads and d_model is n_heads * head_dim. Since 0.2 */
};

/* What becomes of the heads' outputs. Since 0.2. */
enum sgt_attention_output {
    SGT_ATTENTION_OUTPUT_PROJECTION = 0, /* a matrix [d, H dh] projects them */
    SGT_ATTENTION_OUTPUT_NONE = 1        /* head s adds to its own piece of the stream, columns
                                            s dh .. (s + 1) dh - 1; multiplicative attention only */
};

/* What the feed-forward part of a block is. */
enum sgt_feed_forward_kind {
    SGT_FEED_FORWARD_SWIGLU = 0, /* Wdown (silu(Wgate h) * (Wup h)) */
    SGT_FEED_FORWARD_RELU = 1    /* Wdown max(0, Wup h). Since 0.2 */
};

/* What a block is made of; all 0 but for size: the standard block. What a part does not have, such
 * as the units of one without a controller, is not looked at. */
typedef struct sgt_block_config {
    uint32_t size;
    int32_t attention;    /* enum sgt_attention_kind; default softmax */
    int32_t feed_forward; /* enum sgt_feed_forward_kind; default SwiGLU */
    int32_t n_patterns;   /* entries of patterns, at most n_kv_heads; default 0 */
    const sgt_attention_pattern *patterns; /* [n_patterns], all of one size; the query heads of
                             key/value head g see what patterns[g % n_patterns] says, in loops too;
                             default NULL: every earlier key. Borrowed for the call; a model has a
                             copy of its own */
    int32_t mult_kernel;  /* of multiplicative attention: how many positions, the token's own and
                             those before it, its convolutions see; 1 to 64; default 0: 3 */
    int32_t attention_output; /* enum sgt_attention_output; default a projection */
    int32_t units;        /* above 0: a sparse feed-forward part. A controller picks for each token
                             one unit out of each group of so many (Scaling Transformers), and only
                             that counts; divides d_ff. Default 0: every unit counts */
    int32_t controller_rank; /* r of the controller, a product of matrices [f,r] and [r,d]; 1 to
                             2^24; nothing without units, as are the next two */
    double temperature;   /* of the noise in the choices of hard training steps; at least 0;
                             default 0.1. Where it is 0 the choice follows the controller alone */
    double hard_fraction; /* the probability, 0 to 1, that the part is hard in a training forward:
                             only chosen units count, as in evaluation. Otherwise it is soft: units
                             are weighted by the softmax in their group. Default 0.3 */
} sgt_block_config;

/* Fills *block with the standard block. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.2. */
SGT_API sgt_status sgt_block_config_init(sgt_block_config *block, size_t size);

/* Which stream of a widened token the layers work on. Since 0.2. */
enum sgt_altup_order {
    SGT_ALTUP_ALTERNATE = 0, /* layer i on stream i mod K */
    SGT_ALTUP_SAME = 1       /* every layer on stream 0 */
};

/* Where the streams of a widened token come from, and where they go. Since 0.2. */
enum sgt_altup_table {
    SGT_ALTUP_RECYCLED = 0, /* each starts as the embedding [V,d], and their mean goes to the final
                               norm and the head: no table grows */
    SGT_ALTUP_WIDE = 1      /* the embedding is [V, K d], stream k its k-th piece, and the final
                               norm and the head work on all K d */
};

/* The architecture: a pre-norm LLaMA-style decoder (RMSNorm, RoPE, grouped-query attention,
 * SwiGLU, no biases), where `blocks` says nothing else. */
typedef struct sgt_model_config {
    uint32_t size;
    int32_t vocab_size;  /* V, 1 to 2^28 */
    int32_t d_model;     /* d, 1 to 2^24 */
    int32_t n_layers;    /* blocks, 1 to 2^14 */
    int32_t n_heads;     /* H query heads, 1 to 2^14 */
    int32_t n_kv_heads;  /* Hkv key/value heads, divides n_heads; 0: n_heads */
    int32_t head_dim;    /* dh, even, at most 512; 0: d_model / n_heads, which must then be whole */
    int32_t d_ff;        /* inner width of the feed-forward part, 1 to 2^26 */
    int32_t max_seq_len; /* the longest sequence a batch may have, 1 to 2^28 */
    int32_t tied;        /* 1: the output head is the embedding */
    double rope_theta;   /* base of the rotary frequencies, above 0 in float32; default 10000 */
    double norm_eps;     /* epsilon of RMSNorm, inside the root; at least 0 and finite in float32,
                            where a number that is not 0 must not become 0; default 1e-6 */
    int32_t altup_streams; /* K: a token is K streams of d_model, each layer works on one of them
                            and AltUp carries the others along; 1 to 16, 0: 1; default 1, the plain
                            model. Since 0.2 */
    int32_t altup_order; /* enum sgt_altup_order; nothing with one stream, as the next. Since 0.2 */
    int32_t altup_table; /* enum sgt_altup_table. Since 0.2 */
    int32_t head_modules; /* S above 0: a sparse output head. Logit s V/S + m of x is the sum over i
                            of x_i scale[s,i] weight[m,i], plus a bias (Scaling Transformers); S
                            divides vocab_size, and the head is not tied. Default 0: a matrix.
                            Since 0.2 */
    int32_t reserved;     /* 0 */
    int32_t n_blocks;    /* entries of blocks, at most n_layers; default 0 */
    const sgt_block_config *blocks; /* [n_blocks], all of one size; layer i is made of
                            blocks[i % n_blocks]; default NULL: of standard blocks. Borrowed for the
                            call; a model has a copy of its own */
} sgt_model_config;

/* Fills *config with the defaults: everything 0 but rope_theta, norm_eps and altup_streams. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since 0.1. */
SGT_API sgt_status sgt_model_config_init(sgt_model_config *config, size_t size);

/* How a model is executed. This is not part of what it is, so files do not hold it. */
typedef struct sgt_model_options {
    uint32_t size;
    int32_t recompute; /* 1: keep only each block's input and run its forward again in backward:
                          less memory, more work, equal bits; default 0 */
    uint64_t seed;     /* of what parts draw in training forwards: whether a sparse feed-forward
                          part is hard, and the noise of its choices. With the number of training
                          forwards so far, which checkpoints hold, it fixes every draw; default 0 */
} sgt_model_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.2. */
SGT_API sgt_status sgt_model_options_init(sgt_model_options *options, size_t size);

/*
 * Makes a model whose matrices are 0 and whose norms are 1; options may be NULL. Call
 * sgt_model_init_weights next, or write weights of your own: zero matrices have zero gradients, and
 * the first training forward on them warns in the log. The model keeps the context alive. Gradients
 * and activations are allocated by the first training forward. Errors: SGT_E_INVALID_ARGUMENT and
 * SGT_E_OUT_OF_RANGE (the message names the field), SGT_E_STRUCT_SIZE, SGT_E_OVERFLOW,
 * SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, SGT_E_BACKEND. Since 0.2.
 */
SGT_API sgt_status sgt_model_create(sgt_model **model, sgt_context *context,
                                    const sgt_model_config *config,
                                    const sgt_model_options *options);

/* Drops the caller's reference; optimizers, growth and sessions keep the model alive. NULL is
 * fine. Since 0.1. */
SGT_API void sgt_model_free(sgt_model *model);

/* Copies the configuration with every default resolved (n_kv_heads, head_dim); its blocks are the
 * model's and live as long as it. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since 0.1. */
SGT_API sgt_status sgt_model_get_config(sgt_model_config *config, const sgt_model *model);

/* Copies the options that the model was made with. Errors: SGT_E_INVALID_ARGUMENT,
 * SGT_E_STRUCT_SIZE. Since 0.2. */
SGT_API sgt_status sgt_model_get_options(sgt_model_options *options, const sgt_model *model);

/* How weights are drawn. */
typedef struct sgt_model_init_options {
    uint32_t size;
    int32_t residual; /* 1: matrices whose product is added to the residual stream (self_attn.o_proj
                         and mlp.down_proj) get standard deviation std / sqrt(2 n_layers); default
                         0. Since 0.2 */
    uint64_t seed; /* default 0 */
    double std;    /* standard deviation of every matrix, but for those of controllers, scales and
                      convolutions, which have their own (doc/maths.md); default 0.02; narrow models
                      (d_model under about 512) learn faster with up to 1 / sqrt(d_model); weights
                      of std times cut must be finite in float32 */
    double cut;    /* weights beyond this many standard deviations are drawn again; at least 0.1;
                      default 3 */
    int32_t unit_scale; /* 1: mlp.down_proj of a sparse feed-forward part starts sqrt(units) times
                           larger, so that a hard part adds as much to the residual stream as a
                           dense one; without it a dense, a hard and a soft part add about
                           1 : 1/sqrt(units) : 1/units. Default 0. Since 0.2 */
    int32_t reserved;   /* 0 */
} sgt_model_init_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.2. */
SGT_API sgt_status sgt_model_init_options_init(sgt_model_init_options *options, size_t size);

/*
 * Draws all weights: matrices from a truncated normal distribution; norms become 1. The generator
 * counts instead of keeping a state, so the same seed gives the same weights for any number of
 * threads. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE, SGT_E_STRUCT_SIZE,
 * SGT_E_OUT_OF_MEMORY, SGT_E_BACKEND. Since 0.1.
 */
SGT_API sgt_status sgt_model_init_weights(sgt_model *model, const sgt_model_init_options *options);

/* ---- passes over a batch ---- */

/* Sequences of equal length, row-major; borrowed for the call. */
typedef struct sgt_batch {
    uint32_t size;
    int32_t batch;          /* B sequences */
    int32_t seq;            /* T tokens each, at most max_seq_len */
    int32_t reserved;       /* 0 */
    const int32_t *tokens;  /* [B,T], each in [0, V) */
    const int32_t *targets; /* [B,T], each in [0, V) or -1 (ignored); NULL: none at all */
} sgt_batch;

/* What a forward tells. */
typedef struct sgt_metrics {
    uint32_t size;
    int32_t finite;  /* 0 when the loss is NaN or infinite (not an error: the optimizer skips) */
    int64_t count;   /* targets that are not -1 */
    double loss_sum; /* sum of -ln p(target) over them, natural logarithm */
    double loss;     /* loss_sum / count; 0 when count is 0 */
} sgt_metrics;

/*
 * Runs a training forward: it computes the loss, keeps what backward needs, and collects the
 * entropies that are switched on. It takes all memory that backward will need. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_RANGE (sequence length; a token or
 * target, with its position), SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, SGT_E_BACKEND, or what the
 * progress callback returned. Since 0.1.
 */
SGT_API sgt_status sgt_model_forward(sgt_metrics *metrics, sgt_model *model,
                                     const sgt_batch *batch);

/* How a backward is done. There is nothing to choose yet. */
typedef struct sgt_model_backward_options {
    uint32_t size;
    int32_t reserved; /* 0 */
} sgt_model_backward_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.2. */
SGT_API sgt_status sgt_model_backward_options_init(sgt_model_backward_options *options,
                                                   size_t size);

/*
 * Adds scale times the gradient of the SUM of losses of the last forward to the gradients. It may
 * be called once per forward. When it fails or is stopped half-way the gradients are invalid: the
 * optimizer refuses them until sgt_model_zero_gradients. options may be NULL. Errors:
 * SGT_E_INVALID_ARGUMENT (NULL, or reserved is not 0), SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_RANGE (scale
 * not finite, or beyond 1e38), SGT_E_STATE, SGT_E_BACKEND, or what the progress callback returned.
 * Since 0.2.
 */
SGT_API sgt_status sgt_model_backward(sgt_model *model, double scale,
                                      const sgt_model_backward_options *options);

/* Sets all gradients to zero and makes them valid. The step is over with that: the next forward
 * collects entropies anew. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_BACKEND. Since 0.1. */
SGT_API sgt_status sgt_model_zero_gradients(sgt_model *model);

/*
 * Runs a training forward up to the logits, for a loss of the host's own. batch->targets is not
 * looked at. *logits becomes a view [B,T,V], valid until the next call that changes the model; its
 * data is NULL where memory is not host-visible (use sgt_model_read_logits). Errors as
 * sgt_model_forward. Since 0.1.
 */
SGT_API sgt_status sgt_model_forward_logits(sgt_tensor_view *logits, sgt_model *model,
                                            const sgt_batch *batch);

/* Copies the B*T*V logits of the last sgt_model_forward_logits. Errors: SGT_E_INVALID_ARGUMENT,
 * SGT_E_OUT_OF_RANGE (count is not B*T*V), SGT_E_STATE, SGT_E_BACKEND. Since 0.1. */
SGT_API sgt_status sgt_model_read_logits(float *logits, size_t count, const sgt_model *model);

/* Adds to the gradients those that follow from dlogits [B,T,V] in host memory, the gradient of the
 * host's loss by the logits of the last sgt_model_forward_logits. It may be called once per
 * forward; options may be NULL. Errors as sgt_model_backward. Since 0.2. */
SGT_API sgt_status sgt_model_backward_logits(sgt_model *model, const float *dlogits,
                                             const sgt_model_backward_options *options);

/* What an evaluation gives beside the loss; each array is the caller's, or NULL: not wanted. */
typedef struct sgt_model_evaluate_options {
    uint32_t size;
    int32_t reserved;    /* 0 */
    float *token_losses; /* [B,T] 0 where the target is -1 */
    float *logits;       /* [B,T,V] */
    float *last_logits;  /* [B,V] the logits of each sequence's last token */
} sgt_model_evaluate_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.2. */
SGT_API sgt_status sgt_model_evaluate_options_init(sgt_model_evaluate_options *options,
                                                   size_t size);

/*
 * Computes the loss without gradients; nothing is kept for a backward, and no entropies are
 * collected. Evaluations of one model may run in several threads at the same time, each with
 * working memory of its own, which the model keeps for the next evaluation. options may be NULL.
 * Errors as sgt_model_forward. Since 0.1.
 */
SGT_API sgt_status sgt_model_evaluate(sgt_metrics *metrics, const sgt_model *model,
                                      const sgt_batch *batch,
                                      const sgt_model_evaluate_options *options);

/* ---- depth ---- */

/* The current plan, borrowed until it changes. NULL for a NULL model. Since 0.1. */
SGT_API const sgt_plan *sgt_model_plan(const sgt_model *model);

/*
 * Copies a plan into the model. If it differs from the model's, the entropies collected for the
 * step are cleared and a backward of an earlier forward is forbidden. Once a training forward has
 * run, the memory for a step of the same shape under the new plan is taken here; when it does not
 * fit, the old plan stays (but a forward that waits for its backward is lost). Errors:
 * SGT_E_INVALID_ARGUMENT (shape of the plan), SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT,
 * SGT_E_BACKEND. Since 0.1.
 */
SGT_API sgt_status sgt_model_set_plan(sgt_model *model, const sgt_plan *plan);

/* Normalised entropy of attention weights, in [0,1]; see doc/maths.md. */
enum sgt_entropy {
    SGT_ENTROPY_NONE = 0, /* nothing is collected */
    SGT_ENTROPY_LAST = 1, /* that of the last query row */
    SGT_ENTROPY_MEAN = 2, /* the mean over the rows that see several keys */
    SGT_ENTROPY_BOTH = 3  /* last and mean */
};

/* Chooses what training forwards collect: kinds is an enum sgt_entropy, none without this call. An
 * attached growth policy adds what it needs. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE.
 * Since 0.1. */
SGT_API sgt_status sgt_model_collect_entropy(sgt_model *model, int32_t kinds);

/* How many passes of a layer one forward has under the current plan: (1 + extra runs) * (1 +
 * depth). They are numbered through all runs. 0 for a layer that is not there. Since 0.1. */
SGT_API int32_t sgt_model_n_passes(const sgt_model *model, int32_t layer);

/*
 * The n_heads entropies of one pass (0-based) and one kind, averaged over the batches of the
 * current step; NaN for a head that did not run. They stay readable after the optimizer step,
 * until the next training forward. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE,
 * SGT_E_STATE (this kind was not collected). Since 0.2.
 */
SGT_API sgt_status sgt_model_get_entropies(double *entropies, const sgt_model *model, int32_t layer,
                                           int32_t pass, int32_t kind);

/* ---- parameters: Hugging Face LLaMA names, every matrix [out, in] ---- */

/* Which tensor of a parameter. */
enum sgt_parameter_part {
    SGT_PART_WEIGHT = 1,  /* the weight itself */
    SGT_PART_GRADIENT = 2 /* not there before the first training forward */
};

/* How many parameter tensors there are; 0 for NULL. Since 0.2. */
SGT_API int32_t sgt_model_n_parameters(const sgt_model *model);

/* How many weights all parameters have together, which is called the size of a model. A tied head
 * counts once. 0 for NULL. Since 0.2. */
SGT_API uint64_t sgt_model_n_weights(const sgt_model *model);

/* Finds the index of a parameter by a name such as "model.layers.3.self_attn.q_proj.weight".
 * Errors: SGT_E_INVALID_ARGUMENT, SGT_E_NOT_FOUND. Since 0.1. */
SGT_API sgt_status sgt_model_find_parameter(int32_t *index, const sgt_model *model,
                                            const char *name);

/*
 * *view becomes a view of a weight or gradient (part: enum sgt_parameter_part); it lives as long as
 * the model. Whoever writes weights through view.data calls sgt_model_weights_changed afterwards.
 * Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_RANGE (index, part), SGT_E_STATE
 * (no gradients yet). Since 0.1.
 */
SGT_API sgt_status sgt_model_parameter(sgt_tensor_view *view, const sgt_model *model,
                                       int32_t index, int32_t part);

/* Copies a whole tensor out; count is its number of elements. It works for every backend. Errors:
 * as sgt_model_parameter, SGT_E_OUT_OF_RANGE (count), SGT_E_BACKEND. Since 0.1. */
SGT_API sgt_status sgt_model_read_parameter(float *values, size_t count, const sgt_model *model,
                                            int32_t index, int32_t part);

/* Copies a whole tensor in. Writing a weight counts as sgt_model_weights_changed. Errors as
 * sgt_model_read_parameter. Since 0.1. */
SGT_API sgt_status sgt_model_write_parameter(sgt_model *model, int32_t index, int32_t part,
                                             const float *values, size_t count);

/* The host says that it has written weights through a view. Errors: SGT_E_INVALID_ARGUMENT. Since
 * 0.1. */
SGT_API sgt_status sgt_model_weights_changed(sgt_model *model);

/* A counter that grows with every change of weights. 0 for NULL. Since 0.1. */
SGT_API uint64_t sgt_model_generation(const sgt_model *model);

/* ---- special tokens ---- */

/* The most ids that end a text. */
#define SGT_MAX_EOS_TOKENS 64

/*
 * The ids by which tokenizers and engines begin, end and fill texts. They may be any numbers:
 * folders have pads of -1 or vocab_size, which are kept as they are. An id that is no token of the
 * model is never used as one.
 */
typedef struct sgt_special_tokens {
    uint32_t size;
    int32_t has_bos;     /* 1: bos is an id; 0: texts begin with nothing special */
    int32_t has_pad;     /* 1: pad is an id; 0: there is none */
    int32_t n_eos;       /* ids in eos, at most 64; 0: no text ends by itself */
    int32_t bos;         /* begins a text */
    int32_t pad;         /* fills a row behind a text */
    int32_t eos_is_list; /* 1: config.json has a list of eos even where it is one or none */
    int32_t eos[SGT_MAX_EOS_TOKENS]; /* [n_eos] each of them ends a text */
} sgt_special_tokens;

/* Copies the special tokens of a model: those that sgt_hf_load found, a checkpoint held or the host
 * set. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since 0.2. */
SGT_API sgt_status sgt_model_get_special_tokens(sgt_special_tokens *tokens,
                                                const sgt_model *model);

/* Sets all special tokens; tokens NULL: there are none. They go into checkpoints and folders, and
 * the eos ids end generations (sgt_session_generate_options). Errors: SGT_E_INVALID_ARGUMENT,
 * SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_RANGE (a count or a flag; the message names it). Since 0.2. */
SGT_API sgt_status sgt_model_set_special_tokens(sgt_model *model,
                                                const sgt_special_tokens *tokens);

/* ---- memory ---- */

/* The step whose memory is estimated. */
typedef struct sgt_model_memory_options {
    uint32_t size;
    int32_t training;  /* 1 (default): gradients and a training step; 0: evaluation only */
    int32_t optimizer; /* 1 (default): AdamW moments */
    int32_t logits;    /* 1: sgt_model_forward_logits instead of sgt_model_forward; default 0 */
    const sgt_model_options *model; /* the options of the model to be made; NULL: defaults */
} sgt_model_memory_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.2. */
SGT_API sgt_status sgt_model_memory_options_init(sgt_model_memory_options *options, size_t size);

/* An estimate, in bytes, by what they are for. */
typedef struct sgt_model_memory {
    uint32_t size;
    int32_t reserved;     /* 0 */
    uint64_t context;     /* what is in use in the context already */
    uint64_t parameters;  /* weights */
    uint64_t gradients;   /* one for each weight */
    uint64_t moments;     /* two for each weight, of the optimizer */
    uint64_t activations; /* the arena, lists and rotary tables of a step, or of an evaluation */
    uint64_t other;       /* handles and tables of the model and the optimizer */
    uint64_t total;       /* sum of the above: the peak of sgt_context_get_memory, to the byte */
} sgt_model_memory;

/*
 * Tells what a model and a step of B = batch sequences of T = seq tokens would need, before
 * anything is allocated. plan NULL: no loops; options may be NULL. With a memory_limit of `total` a
 * host can create the model, draw its weights, create the optimizer and train with batches of this
 * shape or smaller; with one byte less it cannot. The estimate leaves out, and a host adds where it
 * uses them,
 *   - evaluations of a model that trains: for each that runs at a time, the `activations` of an
 *     estimate with training 0;
 *   - collected entropies: 16 n_layers P n_heads bytes, P the most passes of a layer;
 *   - growth: its handles, tables of n_layers by n_heads numbers, entropies, a copy of the plan;
 *   - sessions: sgt_session_estimate_memory;
 *   - sgt_checkpoint_load into a model that exists: `parameters` and `moments` once more;
 *   - what a plug-in backend takes beside the buffers it is asked for.
 * Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE, SGT_E_STRUCT_SIZE, SGT_E_OVERFLOW. Since 0.2.
 */
SGT_API sgt_status sgt_model_estimate_memory(sgt_model_memory *memory, const sgt_context *context,
                                             const sgt_model_config *config, const sgt_plan *plan,
                                             int32_t batch, int32_t seq,
                                             const sgt_model_memory_options *options);

SGT_END_DECLS

#endif
