import Kernel

/// The only SQL on what speaks against incidents being verified.
struct IncidentProofStore: Sendable {
    func put(_ proof: IncidentProof, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO incident_proofs (incident_id, quiet_since, pending, due_at)
            VALUES (\(proof.incidentID), \(proof.quietSince), \(JSONValue.list(proof.pending)), \(proof.dueAt))
            ON CONFLICT (incident_id) DO UPDATE SET quiet_since = excluded.quiet_since, pending = excluded.pending,
              due_at = excluded.due_at
            """)
    }

    func proof(of incident: String, in transaction: Transaction) throws -> IncidentProof? {
        try transaction.first("SELECT * FROM incident_proofs WHERE incident_id = \(incident)").map { row in
            IncidentProof(
                incidentID: incident, quietSince: row.time("quiet_since"),
                pending: row.json("pending").array?.compactMap(\.string) ?? [], dueAt: row.time("due_at"))
        }
    }

    /// Open incidents that are quiet and not verified, and that were not looked at for a while: the longest first.
    static func dueList(at now: Timestamp, limit: Int) -> SQLText {
        """
        SELECT incidents.id AS id FROM incidents LEFT JOIN incident_proofs
          ON incident_proofs.incident_id = incidents.id
        WHERE incidents.resolved_at IS NULL AND incidents.quiet_since IS NOT NULL AND incidents.verified_at IS NULL
          AND (incident_proofs.due_at IS NULL OR incident_proofs.due_at <= \(now)
            OR incident_proofs.quiet_since <> incidents.quiet_since)
        ORDER BY COALESCE(incident_proofs.due_at, 0), incidents.id LIMIT \(limit)
        """
    }

    func due(at now: Timestamp, limit: Int, in transaction: Transaction) throws -> [Identifier<Incident>] {
        try transaction.rows(Self.dueList(at: now, limit: limit)).map { $0.id("id") }
    }
}
