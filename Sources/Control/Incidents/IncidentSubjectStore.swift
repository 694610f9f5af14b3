import Kernel

/// The only SQL that looks for whom incidents tell of.
struct IncidentSubjectStore: Sendable {
    /// Incidents that have a text in anything that is written down of them: what they are about, their timeline, their
    /// alerts, their postmortem and what is to be done.
    func count(having text: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            """
            SELECT count(*) AS n FROM (
              SELECT id FROM incidents WHERE replace(title, \(text), '') <> title
                OR replace(subjects, \(text), '') <> subjects OR replace(status_text, \(text), '') <> status_text
              UNION SELECT incident_id FROM incident_entries WHERE replace(target, \(text), '') <> target
                OR replace(actor, \(text), '') <> actor OR replace(detail, \(text), '') <> detail
              UNION SELECT incident_id FROM incident_alerts WHERE replace(labels, \(text), '') <> labels
                OR replace(summary, \(text), '') <> summary
              UNION SELECT incident_id FROM postmortems WHERE replace(document, \(text), '') <> document
              UNION SELECT incident_id FROM incident_actions WHERE replace(summary, \(text), '') <> summary
                OR replace(owner, \(text), '') <> owner
              UNION SELECT incident_id FROM incident_traces WHERE correlation_id = \(text)
            ) AS found
            """)?.int("n") ?? 0
    }
}

extension IncidentService {
    /// Incidents that tell of somebody.
    public static func count(having text: String, in transaction: Transaction) throws -> Int64 {
        try IncidentSubjectStore().count(having: text, in: transaction)
    }
}
