/* SPDX-License-Identifier: BSD-3-Clause */
/* Models from a case's config and weights, and comparing all parameters of a model. */
#include "golden.h"

#include <stdio.h>
#include <stdlib.h>

/* Gradients this much smaller than the largest are noise: they are held against the largest. */
static const double small_norm = 1e-6;

static void read_config(sgt_model_config *config, golden_case *c)
{
    const json_t *object = golden_object(c, c->json, "config");
    golden_only(
        c, object,
        "vocab_size d_model n_layers n_heads n_kv_heads head_dim d_ff max_seq_len rope_theta "
        "norm_eps tied");
    sgt_model_config_init(config, sizeof *config);
    config->vocab_size = golden_integer(c, object, "vocab_size", 1);
    config->d_model = golden_integer(c, object, "d_model", 1);
    config->n_layers = golden_integer(c, object, "n_layers", 1);
    config->n_heads = golden_integer(c, object, "n_heads", 1);
    config->d_ff = golden_integer(c, object, "d_ff", 1);
    config->max_seq_len = golden_integer(c, object, "max_seq_len", 1);
    if (golden_has(object, "n_kv_heads"))
        config->n_kv_heads = golden_integer(c, object, "n_kv_heads", 0);
    if (golden_has(object, "head_dim"))
        config->head_dim = golden_integer(c, object, "head_dim", 0);
    if (golden_has(object, "rope_theta"))
        config->rope_theta = golden_number(c, object, "rope_theta");
    if (golden_has(object, "norm_eps"))
        config->norm_eps = golden_number(c, object, "norm_eps");
    config->tied = json_is_true(json_object_get(object, "tied"));
}

static int same_shape(const golden_tensor *tensor, const sgt_tensor_view *view)
{
    int same = tensor->rank == view->rank;
    for (int i = 0; same && i < tensor->rank; i++)
        same = tensor->shape[i] == view->shape[i];
    return same;
}

/* The view of a parameter and its tensor PREFIX/NAME; 0 when there is none of that shape. */
static int find_pair(sgt_tensor_view *view, golden_case *c, const sgt_model *model,
                     const char *prefix, int32_t index)
{
    *view = (sgt_tensor_view){.size = sizeof *view};
    if (!golden_called(c->run, sgt_model_parameter(view, model, index, SGT_PART_WEIGHT),
                       "sgt_model_parameter")) {
        c->broken = 1;
        return 0;
    }
    const golden_tensor *tensor = golden_need(c, view->count, "%s/%s", prefix, view->name);
    if (tensor == NULL)
        return 0;
    if (!same_shape(tensor, view)) {
        golden_fail(c->run, "%s has another shape than the model's", tensor->name);
        c->broken = 1;
        return 0;
    }
    return 1;
}

/* A tensor that no parameter answers to must not go unnoticed. */
static void check_no_other(golden_case *c, const sgt_model *model, const char *prefix)
{
    char start[32];
    snprintf(start, sizeof start, "%s/", prefix);
    if (golden_tensors_count(&c->tensors, start) == (size_t)sgt_model_n_parameters(model))
        return;
    if (!c->broken)
        golden_fail(c->run, "there are tensors %s... that the model does not have", start);
    c->broken = 1;
}

static void write_weights(golden_case *c, sgt_model *model)
{
    sgt_tensor_view view;
    for (int32_t i = 0; i < sgt_model_n_parameters(model) && !c->broken; i++) {
        if (!find_pair(&view, c, model, "param", i))
            return;
        float *values = golden_floats(c, view.count, "param/%s", view.name);
        if (values != NULL &&
            !golden_called(c->run,
                           sgt_model_write_parameter(model, i, SGT_PART_WEIGHT, values, view.count),
                           "sgt_model_write_parameter"))
            c->broken = 1;
        free(values);
    }
    check_no_other(c, model, "param");
}

sgt_model *golden_model(golden_case *c)
{
    sgt_model_config config;
    sgt_model *model = NULL;
    read_config(&config, c);
    golden_parts_read(&config, c);
    if (!c->broken &&
        !golden_called(c->run, sgt_model_create(&model, c->run->context, &config, NULL),
                       "sgt_model_create"))
        c->broken = 1;
    golden_parts_free(&config);
    if (model != NULL)
        write_weights(c, model);
    if (c->broken) {
        sgt_model_free(model);
        return NULL;
    }
    return model;
}

sgt_model_config golden_config(const sgt_model *model)
{
    sgt_model_config config = {.size = sizeof config};
    sgt_model_get_config(&config, model);
    return config;
}

/* ---- comparing ---- */

typedef struct parameter_difference {
    const char *name;
    double norm; /* of the case's tensor */
    double distance;
} parameter_difference;

static void measure(parameter_difference *difference, golden_case *c, const sgt_model *model,
                    const char *prefix, int32_t part, int32_t index)
{
    sgt_tensor_view view;
    if (!find_pair(&view, c, model, prefix, index))
        return;
    float *expected = golden_floats(c, view.count, "%s/%s", prefix, view.name);
    float *values = golden_allocate(view.count, sizeof *values);
    if (!golden_called(c->run, sgt_model_read_parameter(values, view.count, model, index, part),
                       "sgt_model_read_parameter")) {
        c->broken = 1;
    } else if (expected != NULL) {
        difference->name = view.name;
        difference->norm = golden_norm(expected, view.count);
        difference->distance = golden_distance(values, expected, view.count);
    }
    free(expected);
    free(values);
}

void golden_compare_parameters(golden_case *c, golden_kind *kind, const sgt_model *model,
                               const char *prefix, int32_t part)
{
    int32_t count = sgt_model_n_parameters(model);
    parameter_difference *differences = golden_allocate((size_t)count, sizeof *differences);
    double largest = 0.0;
    for (int32_t i = 0; i < count && !c->broken; i++) {
        measure(&differences[i], c, model, prefix, part, i);
        if (differences[i].norm > largest)
            largest = differences[i].norm;
    }
    check_no_other(c, model, prefix);
    for (int32_t i = 0; i < count && !c->broken; i++) {
        double norm = differences[i].norm;
        if (part == SGT_PART_GRADIENT && norm < small_norm * largest)
            norm = largest;
        golden_compare(kind, norm == 0.0 ? differences[i].distance : differences[i].distance / norm,
                       "%s/%s", prefix, differences[i].name);
    }
    free(differences);
}
