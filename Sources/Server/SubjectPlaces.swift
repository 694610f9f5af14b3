import Control
import Kernel

extension SubjectPlace {
    /// Where Reeve's own records may have a subject, how they are looked at, and what becomes of them.
    static func own(
        _ settings: Settings, events: Events, calls: CallService,
        tasks: @escaping @Sendable (String, Transaction) throws -> Int64
    ) -> [SubjectPlace] {
        let (tasksDays, callsDays) = (settings.tasks.finishedRetentionDays, settings.calls.retentionDays)
        return [
            SubjectPlace(
                "tasks", table: "tasks (title, input, correlation id, unique key)",
                see: "reeve tasks list --query TEXT, or the page /tasks?q=TEXT, for those with it in the title",
                note: "Cancel what has not ended: reeve tasks cancel ID. Those that ended go with their deliverables "
                    + "after tasks.finishedRetentionDays (\(tasksDays)); lower it and start anew to have them go "
                    + "sooner."
            ) { try tasks($0, $1) },
            SubjectPlace(
                "calls", table: "calls (session, run, correlation id, tags, what was tried)",
                see: "reeve calls list --session TEXT, or the page /calls?session=TEXT",
                note: "No bodies are kept of them. They go after calls.retentionDays (\(callsDays)); lower it and "
                    + "start anew to have them go sooner."
            ) { try calls.count(having: $0, in: $1) },
            SubjectPlace(
                "events", table: "events (data, correlation id, actor)",
                see: "reeve events list --json, and look for the text; or the page /events",
                note: "They go after events.retentionDays (\(settings.events.retentionDays)); lower it and start "
                    + "anew to have them go sooner."
            ) { try events.store.count(having: $0, in: $1) },
            SubjectPlace(
                "holds", table: "telemetry_holds (target)",
                see: "reeve telemetry hold list, or the page /audit/holds",
                note: "Lift what is in force: reeve telemetry hold lift ID. What was on hold, and when, stays for good."
            ) { try RetentionService.holds(on: $0, in: $1) },
            SubjectPlace(
                "alerts", table: "alerts (labels, annotations)",
                see: "reeve alerts list --json, and look for the text; or the page /alerts",
                note: "One that fires ends where its rule, or who posts it, stops naming the subject. Those that ended "
                    + "go after alerts.retentionDays; lower it and start anew to have them go sooner."
            ) { try AlertService.count(having: $0, in: $1) },
            SubjectPlace(
                "incidents", table: "incidents (title, subjects, timeline, alerts, postmortem, action items)",
                see: "reeve incidents list --json, or the page /incidents",
                note: "What people wrote is edited on the incident's page and in its postmortem. The timeline is "
                    + "evidence and stays: aggregate rules so that their labels name no persons."
            ) { try IncidentService.count(having: $0, in: $1) },
        ]
    }
}
