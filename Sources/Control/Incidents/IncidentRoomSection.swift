import Kernel

/// A part of the incident room that another feature brings: what contains the incident, with its preview; runbooks;
/// who is on call. Sections stand between the evidence and the timeline, in the order in which they are given.
public protocol IncidentRoomSection: Sendable {
    /// The section for an incident, as one viewer sees it; `nil` where there is nothing to show.
    func section(
        _ incident: Incident, for principal: Principal, in transaction: Transaction
    ) throws -> IncidentRoomPart?
}

/// A section with the template that it is drawn by, one of ``PageLibrary``'s.
public struct IncidentRoomPart: PageView {
    /// Also the element's id, as `incident-` and this.
    public let id: String
    public let title: String
    let template: String
    let view: any PageView

    public init(id: String, title: String, template: String, view: any PageView) {
        (self.id, self.title, self.template, self.view) = (id, title, template, view)
    }
}
