#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

// What takes any number of arguments is not seen by Swift.

/// Hands over a message, which is copied. A text that is absent is NULL; `opaque` comes back with its report.
static inline rd_kafka_resp_err_t reeve_kafka_produce(
    rd_kafka_t *client, const char *topic, const void *key, size_t key_length, const void *payload, size_t length,
    int64_t milliseconds, const char *category, const char *agent, void *opaque) {
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    if (category) rd_kafka_header_add(headers, "category", -1, category, -1);
    if (agent) rd_kafka_header_add(headers, "agent", -1, agent, -1);
    rd_kafka_resp_err_t error = rd_kafka_producev(
        client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY((void *)key, key_length), RD_KAFKA_V_VALUE((void *)payload, length),
        RD_KAFKA_V_TIMESTAMP(milliseconds), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque),
        RD_KAFKA_V_END);
    if (error) rd_kafka_headers_destroy(headers);
    return error;
}
