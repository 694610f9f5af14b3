// The page's files, inside the program: one binary carries its dashboard.
//
// #embed (C23) takes the bytes as they are; SwiftPM's own embedding writes array literals, which takes minutes for
// 200 KB of script.
#include "CWebAssets.h"

#if !__has_include("../../Web/vendor/htmx.min.js") || !__has_include("../../Web/vendor/sse.js") \
    || !__has_include("../../Web/vendor/chart.min.js")
#error "Web/vendor is not complete: run script/assets, which puts the page's libraries there."
#endif

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char app_css[] = {
#embed "../../Web/app.css"
};
static const unsigned char app_js[] = {
#embed "../../Web/app.js"
};
static const unsigned char overview_js[] = {
#embed "../../Web/overview.js"
};
static const unsigned char replay_js[] = {
#embed "../../Web/replay.js"
};
static const unsigned char span_js[] = {
#embed "../../Web/span.js"
};
static const unsigned char trace_js[] = {
#embed "../../Web/trace.js"
};
static const unsigned char favicon_svg[] = {
#embed "../../Web/favicon.svg"
};
static const unsigned char htmx_js[] = {
#embed "../../Web/vendor/htmx.min.js"
};
static const unsigned char sse_js[] = {
#embed "../../Web/vendor/sse.js"
};
static const unsigned char chart_js[] = {
#embed "../../Web/vendor/chart.min.js"
};

static const struct web_asset assets[] = {
    {"app.css", app_css, sizeof app_css},
    {"app.js", app_js, sizeof app_js},
    {"chart.min.js", chart_js, sizeof chart_js},
    {"favicon.svg", favicon_svg, sizeof favicon_svg},
    {"htmx.min.js", htmx_js, sizeof htmx_js},
    {"overview.js", overview_js, sizeof overview_js},
    {"replay.js", replay_js, sizeof replay_js},
    {"span.js", span_js, sizeof span_js},
    {"sse.js", sse_js, sizeof sse_js},
    {"trace.js", trace_js, sizeof trace_js},
};

size_t web_asset_count(void) { return sizeof assets / sizeof assets[0]; }

struct web_asset web_asset_at(size_t index) { return assets[index]; }
