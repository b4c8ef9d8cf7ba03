/* SPDX-License-Identifier: BSD-3-Clause */
/* Everything a host includes. Authors of plug-ins include <sgt/sys/...> too. */
#ifndef SGT_SGT_H
#define SGT_SGT_H

#include <sgt/backend.h>
#include <sgt/checkpoint.h>
#include <sgt/common.h>
#include <sgt/context.h>
#include <sgt/flops.h>
#include <sgt/growth.h>
#include <sgt/huggingface.h>
#include <sgt/model.h>
#include <sgt/optimizer.h>
#include <sgt/pattern.h>
#include <sgt/plan.h>
#include <sgt/sampler.h>
#include <sgt/session.h>
#include <sgt/status.h>
#include <sgt/tensor.h>

#endif
