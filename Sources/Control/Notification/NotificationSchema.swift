import Kernel

/// The tables of who is told what: silences, groups of alerts with what was told of them at last, attempts, and what
/// events of PagerDuty's form are known by.
public enum NotificationSchema {
    public static let migrations = [
        Migration(
            "0091_notification",
            [
                """
                CREATE TABLE silences (
                  id TEXT NOT NULL PRIMARY KEY, matchers TEXT NOT NULL, starts_at INTEGER NOT NULL,
                  ends_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, created_by TEXT NOT NULL,
                  comment TEXT NOT NULL, is_end_told INTEGER NOT NULL CHECK (is_end_told IN (0, 1))) STRICT
                """,
                "CREATE INDEX silences_end ON silences (ends_at)",
                // Whoever holds the claim sends; one that was not given back runs out.
                """
                CREATE TABLE notification_groups (
                  receiver TEXT NOT NULL, group_key TEXT NOT NULL, route_key TEXT NOT NULL, labels TEXT NOT NULL,
                  created_at INTEGER NOT NULL, next_at INTEGER NOT NULL, flushed_at INTEGER, noticed_at INTEGER,
                  told TEXT NOT NULL, resolved TEXT NOT NULL, attempts INTEGER NOT NULL, version INTEGER NOT NULL,
                  claimed_by TEXT, claimed_until INTEGER, PRIMARY KEY (receiver, group_key)) STRICT
                """,
                "CREATE INDEX notification_groups_next ON notification_groups (receiver, next_at)",
                """
                CREATE TABLE notification_deliveries (
                  id TEXT NOT NULL PRIMARY KEY, receiver TEXT NOT NULL, kind TEXT NOT NULL, group_key TEXT NOT NULL,
                  reason TEXT NOT NULL, alerts INTEGER NOT NULL,
                  state TEXT NOT NULL CHECK (state IN ('delivered', 'failed', 'refused')), status INTEGER,
                  attempt INTEGER NOT NULL, at INTEGER NOT NULL, milliseconds INTEGER NOT NULL,
                  answer TEXT NOT NULL) STRICT
                """,
                "CREATE INDEX notification_deliveries_receiver ON notification_deliveries (receiver, id)",
                """
                CREATE TABLE alert_events (
                  source TEXT NOT NULL, dedup_key TEXT NOT NULL, labels TEXT NOT NULL, annotations TEXT NOT NULL,
                  triggered_at INTEGER NOT NULL, acknowledged_at INTEGER, PRIMARY KEY (source, dedup_key)) STRICT
                """,
                "CREATE INDEX alert_events_time ON alert_events (triggered_at)",
            ]),
        // What is asked for again and again is found without a walk past all the rest.
        Migration(
            "0103_notification_indexes",
            [
                "CREATE INDEX silences_untold ON silences (ends_at) WHERE is_end_told = 0",
                "CREATE INDEX notification_deliveries_at ON notification_deliveries (at)",
            ]),
    ]
}
