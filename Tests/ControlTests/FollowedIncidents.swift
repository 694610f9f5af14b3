import Kernel
import Synchronization

@testable import Control

/// Writes down what followers of incidents are told.
final class FollowedIncidents: IncidentFollower {
    private let told = Mutex<[String]>([])

    var all: [String] { told.withLock { $0 } }

    func opened(_ incident: Incident, by alert: Alert?, in transaction: Transaction) throws {
        told.withLock { $0.append("opened by \(alert?.name ?? "somebody")") }
    }

    func joined(_ incident: Incident, by alert: Alert, in transaction: Transaction) throws {
        told.withLock { $0.append("joined by \(alert.name)") }
    }

    func reached(
        _ milestone: Incident.Milestone, _ incident: Incident, by principal: Principal, in transaction: Transaction
    ) throws {
        let who = principal.actor == Principal.system.actor ? "" : " by \(principal.name)"
        told.withLock { $0.append(milestone.rawValue + who) }
    }

    func changed(_ incident: Incident, by principal: Principal, in transaction: Transaction) throws {
        told.withLock { $0.append("changed by \(principal.name)") }
    }
}

/// Lets nothing count as verified until it is told to.
final class StubbornVerification: IncidentVerification {
    private let isContent = Mutex(false)

    func relent() { isContent.withLock { $0 = true } }

    func pending(_ incident: Incident, in transaction: Transaction) throws -> [String] {
        isContent.withLock { $0 } ? [] : ["the golden tasks pass"]
    }
}
