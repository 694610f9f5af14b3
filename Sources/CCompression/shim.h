#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

// zlib's initialisers are macros, which Swift does not see.

/// Begins to unpack gzip (RFC 1952) alone: 15 bits of window, and 16 for gzip's frame (zlib.net/manual.html).
static inline int reeve_gunzip_begin(z_stream *stream) { return inflateInit2(stream, 15 + 16); }

/// The same for packing.
static inline int reeve_gzip_begin(z_stream *stream, int level) {
  return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}
