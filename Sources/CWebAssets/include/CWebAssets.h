#ifndef CWEBASSETS_H
#define CWEBASSETS_H
#endif
