/* engine/cmd/latency_report.h: event series for people: a drawing, and an explanation. */
#pragma once

#include "base/buffer.h"
#include "engine/logs.h"

/* LATENCY GRAPH: columns of characters, oldest sample left, its age below. */
void roan_latency_draw(const roan_latency_event *event, int64_t now_s, roan_buffer *ret_text);

/* LATENCY DOCTOR. The gate is shut. */
void roan_latency_explain(const roan_engine *engine, int64_t now_s, roan_buffer *ret_text);
