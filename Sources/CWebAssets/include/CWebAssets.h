#ifndef CWEBASSETS_H
#define CWEBASSETS_H

#include <stddef.h>

/// A file of Web/, embedded when Reeve is built.
struct web_asset {
    /// The last part of its address, such as "app.css".
    const char *name;
    const unsigned char *bytes;
    size_t size;
};

/// How many assets there are.
size_t web_asset_count(void);

/// The asset at an index below web_asset_count(). It lives as long as the process.
struct web_asset web_asset_at(size_t index);

#endif
