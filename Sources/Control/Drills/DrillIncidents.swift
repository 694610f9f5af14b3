import Kernel
import Telemetry

extension Alert {
    /// The drill that it is part of; `nil` where it is about the fleet. What others post is no drill, whatever they
    /// call it, and rules that are not a drill's cannot say so (``RuleEvaluation/leavesOutDrills``).
    public var drill: Identifier<Drill>? { origin == .rule ? Identifier(labels[DrillNames.label]) : nil }
}

extension Incident {
    private static let drillSubject = "\(DrillNames.label):"

    /// The drill that it is part of; `nil` where it is about the fleet.
    public var drill: Identifier<Drill>? {
        subjects.first { $0.hasPrefix(Self.drillSubject) }
            .flatMap { Identifier(String($0.dropFirst(Self.drillSubject.count))) }
    }

    /// Drills and the fleet never share an incident, and neither do two drills.
    func isOf(_ other: Identifier<Drill>?) -> Bool { drill == other }
}

extension Drill {
    /// What its incidents are about, beside the agents that they name.
    var subject: String { "\(DrillNames.label):\(id.text)" }
}
