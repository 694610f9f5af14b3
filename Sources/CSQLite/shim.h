#include <sqlite3.h>

// SQLite's calls with variable arguments, which Swift cannot make.

/// Stops counting memory, which takes a lock at each allocation: SQLITE_CONFIG_MEMSTATUS of
/// sqlite.org/c3ref/c_config_covering_index_scan.html. Only before the library is first used; SQLITE_MISUSE after.
static inline int reeve_sqlite_stop_counting_memory(void) {
    return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/// Gives a connection its own pool of small allocations, `count` of `bytes` each (sqlite.org/malloc.html §3). Only
/// while it has no statement.
static inline int reeve_sqlite_set_lookaside(sqlite3 *database, int bytes, int count) {
    return sqlite3_db_config(database, SQLITE_DBCONFIG_LOOKASIDE, (void *)0, bytes, count);
}
