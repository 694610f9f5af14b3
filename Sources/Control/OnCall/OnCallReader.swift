import Kernel
import Telemetry

/// Reads a file of on-call: all that is wrong with it is found in one go, each with its place.
public struct OnCallReader {
    /// Why a file is not taken.
    public struct Refusal: Error, Sendable, CustomStringConvertible {
        public let faults: [MarkedYAML.Fault]

        public init(_ faults: [MarkedYAML.Fault]) {
            self.faults = faults.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
        }

        public var description: String { faults.map(\.description).joined(separator: "\n") }
    }

    typealias Fault = MarkedYAML.Fault

    static let bytesMax = 1 << 20
    static let peopleMax = 1_000
    static let schedulesMax = 100
    static let layersMax = 20
    static let overridesMax = 1_000
    static let windowsMax = 50
    static let chainsMax = 100
    static let stepsMax = 50
    /// As Grafana OnCall has it.
    static let repeatsMax = 5
    static let waitMax = Span.hours(24 * 7)
    static let textMax = 1_000

    private var faults: [Fault] = []
    private var plan = OnCallPlan()

    /// - Throws: ``Refusal``.
    public static func read(_ text: String) throws -> OnCallPlan {
        guard text.utf8.count <= bytesMax else {
            throw Refusal([Fault(line: 1, column: 1, reason: "the file has more than \(bytesMax) bytes")])
        }
        var reader = OnCallReader()
        let root: MarkedYAML
        do { root = try MarkedYAML(text) } catch { throw Refusal([error]) }
        reader.document(root)
        guard reader.faults.isEmpty else { throw Refusal(reader.faults) }
        return reader.plan
    }

    private mutating func document(_ root: MarkedYAML) {
        guard let members = noting({ _ throws(Fault) in try root.members(["people", "schedules", "chains", "paths"]) })
        else { return }
        plan.people = list(members["people"], "people", Self.peopleMax) { reader, node throws(Fault) in
            try reader.person(node)
        }
        plan.schedules = list(members["schedules"], "schedules", Self.schedulesMax) { reader, node throws(Fault) in
            try reader.schedule(node)
        }
        plan.chains = list(members["chains"], "chains", Self.chainsMax) { reader, node throws(Fault) in
            try reader.chain(node)
        }
        unique(members["people"], plan.people.map { ($0.name, $0.place) }, "person")
        unique(members["schedules"], plan.schedules.map { ($0.name, $0.place) }, "schedule")
        unique(members["chains"], plan.chains.map { ($0.name, $0.place) }, "chain")
        if let node = members["paths"] { noting { reader throws(Fault) in try reader.paths(node) } }
        if plan.people.isEmpty, faults.isEmpty { faults.append(root.fault("`people` is missing: nobody can be told")) }
    }

    /// Goes on behind a fault, so that all are found.
    @discardableResult
    private mutating func noting<Value>(
        _ body: (inout OnCallReader) throws(MarkedYAML.Fault) -> Value
    ) -> Value? {
        do { return try body(&self) } catch {
            faults.append(error)
            return nil
        }
    }

    private mutating func list<Value>(
        _ node: MarkedYAML?, _ what: String, _ max: Int,
        _ read: (inout OnCallReader, MarkedYAML) throws(MarkedYAML.Fault) -> Value
    ) -> [Value] {
        guard let node, let elements = noting({ _ throws(Fault) in try node.elements() }) else { return [] }
        guard elements.count <= max else {
            faults.append(node.fault("at most \(max) \(what) are allowed"))
            return []
        }
        return elements.compactMap { element in noting { reader throws(Fault) in try read(&reader, element) } }
    }

    private mutating func unique(_ node: MarkedYAML?, _ names: [(String, OnCallPlan.Place)], _ what: String) {
        var seen: Set<String> = []
        for (name, place) in names where !seen.insert(name).inserted {
            faults.append(Fault(line: place.line, column: place.column, reason: "\(what) \(name) is there twice"))
        }
    }

    // MARK: People

    private mutating func person(_ node: MarkedYAML) throws(Fault) -> OnCallPlan.Person {
        let members = try node.members(["name", "contact"])
        let name = try self.name(members["name"], of: node)
        guard let contact = members["contact"] else {
            throw node.fault("`contact` is missing: without one \(name) cannot be told")
        }
        let ways = try contact.members(["receivers", "email", "ntfy"])
        var receivers: [String] = []
        for element in try ways["receivers"]?.elements() ?? [] {
            receivers.append(try self.name(element, of: element))
            need(.receiver(receivers[receivers.count - 1]), element)
        }
        let email = try ways["email"].map { node throws(Fault) in try Self.email(node) }
        let ntfy = try ways["ntfy"].map { node throws(Fault) in try Self.address(node) }
        if let email, let node = ways["email"] { need(.email(email), node) }
        if let ntfy, let node = ways["ntfy"] { need(.ntfy(ntfy), node) }
        guard !receivers.isEmpty || email != nil || ntfy != nil else {
            throw contact.fault("one of `receivers`, `email` and `ntfy` is needed")
        }
        return OnCallPlan.Person(name: name, receivers: receivers, email: email, ntfy: ntfy, place: Self.place(node))
    }

    private mutating func need(_ channel: OnCallChannel, _ node: MarkedYAML) {
        plan.needs.append(OnCallPlan.Need(channel: channel, place: Self.place(node)))
    }

    private static func email(_ node: MarkedYAML) throws(Fault) -> String {
        let text = try node.text()
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }), text.utf8.count <= 254,
            !text.unicodeScalars.contains(where: {
                $0.properties.isWhitespace || $0.value < 32 || "<>,;".contains(Character($0))
            })
        else { throw node.fault("an address of mail such as ada@example.org is expected") }
        return text
    }

    private static func address(_ node: MarkedYAML) throws(Fault) -> String {
        let text = try node.text()
        guard text.hasPrefix("https://") || text.hasPrefix("http://"), text.utf8.count <= textMax,
            !text.unicodeScalars.contains(where: { $0.properties.isWhitespace || $0.value < 32 })
        else { throw node.fault("the address of a topic such as https://ntfy.sh/ada is expected") }
        return text
    }

    // MARK: Chains

    private mutating func chain(_ node: MarkedYAML) throws(Fault) -> OnCallPlan.Chain {
        let members = try node.members(["name", "steps"])
        let name = try self.name(members["name"], of: node)
        let nodes = try (members["steps"] ?? node).elements(orFault: "`steps` is missing")
        guard (1...Self.stepsMax).contains(nodes.count) else {
            throw node.fault("a chain has 1 to \(Self.stepsMax) steps")
        }
        var (steps, repeats): ([OnCallPlan.Step], Int) = ([], 0)
        for (index, node) in nodes.enumerated() {
            guard let parts = noting({ _ throws(Fault) in try node.members(["notify", "wait", "repeat"]) }) else {
                continue
            }
            guard parts.count == 1 else {
                faults.append(node.fault("a step is one of `notify`, `wait` and `repeat`"))
                continue
            }
            if let part = parts["repeat"] {
                noting { _ throws(Fault) in
                    repeats = try Self.repeats(part, isLast: index == nodes.count - 1, behind: steps.last)
                }
            } else if let part = parts["notify"] {
                if let target = noting({ reader throws(Fault) in try reader.target(part) }) {
                    steps.append(.notify(target))
                }
            } else if let part = parts["wait"] {
                if let wait = noting({ _ throws(Fault) in try Self.wait(part) }) { steps.append(.wait(wait)) }
            }
        }
        return OnCallPlan.Chain(name: name, steps: steps, repeats: repeats, place: Self.place(node))
    }

    private static func wait(_ node: MarkedYAML) throws(Fault) -> Span {
        let wait = Span(microseconds: try node.duration() * 1_000)
        guard wait > .zero, wait <= waitMax else { throw node.fault("a wait takes up to a week, and some time") }
        return wait
    }

    private static func repeats(
        _ node: MarkedYAML, isLast: Bool, behind step: OnCallPlan.Step?
    ) throws(Fault) -> Int {
        let count = try node.integer()
        guard (1...repeatsMax).contains(count) else { throw node.fault("a chain repeats 1 to \(repeatsMax) times") }
        guard isLast else { throw node.fault("`repeat` is the last step, as none behind it would be reached") }
        guard case .wait = step else {
            throw node.fault("a `wait` is needed before `repeat`: without it everybody is told again at once")
        }
        return count
    }

    private mutating func target(_ node: MarkedYAML) throws(Fault) -> OnCallPlan.Target {
        let parts = try node.members(["schedule", "person", "receiver"])
        guard let part = parts.first, parts.count == 1 else {
            throw node.fault("one of `schedule`, `person` and `receiver` is expected")
        }
        let name = try self.name(part.value, of: node)
        switch part.key {
        case "schedule":
            guard plan.schedule(name) != nil else { throw part.value.fault("there is no schedule \(name)") }
            return .schedule(name)
        case "person":
            guard plan.person(name) != nil else { throw part.value.fault("there is no person \(name)") }
            return .person(name)
        default:
            need(.receiver(name), part.value)
            return .receiver(name)
        }
    }

    // MARK: Paths

    private mutating func paths(_ node: MarkedYAML) throws(Fault) {
        let known = OnCallPlan.Path.allCases.map(\.rawValue)
        let members = try node.members(Set(known + ["default"]))
        if let part = members["default"] {
            plan.fallback = noting { reader throws(Fault) in try reader.chainName(part) }
        }
        for path in OnCallPlan.Path.allCases {
            guard let part = members[path.rawValue] else { continue }
            noting { reader throws(Fault) in reader.plan.paths[path] = try reader.rule(part) }
        }
    }

    /// A chain's name, or one for each severity.
    private mutating func rule(_ node: MarkedYAML) throws(Fault) -> OnCallPlan.Rule {
        if case .scalar = node.content { return OnCallPlan.Rule(fallback: try chainName(node)) }
        var rule = OnCallPlan.Rule()
        for (severity, value) in try node.texts() {
            guard let chain = noting({ reader throws(Fault) in try reader.chainName(value) }) else { continue }
            if severity == "default" { rule.fallback = chain } else { rule.bySeverity[severity] = chain }
        }
        return rule
    }

    private func chainName(_ node: MarkedYAML) throws(Fault) -> String {
        let name = try node.text()
        guard plan.chains.contains(where: { $0.name == name }) else { throw node.fault("there is no chain \(name)") }
        return name
    }
}

// MARK: Schedules

extension OnCallReader {
    private mutating func schedule(_ node: MarkedYAML) throws(Fault) -> OnCallSchedule {
        let members = try node.members(["name", "zone", "layers", "overrides", "gaps"])
        let name = try self.name(members["name"], of: node)
        guard let zone = members["zone"] else { throw node.fault("`zone` is missing, such as Europe/Berlin") }
        guard let clock = WallClock(try zone.text()) else {
            throw zone.fault("\(try zone.text().prefix(64)) is no time zone: name one such as UTC or Europe/Berlin")
        }
        let layers = list(members["layers"], "layers", Self.layersMax) { reader, node throws(Fault) in
            try reader.layer(node)
        }
        unique(members["layers"], layers.map { ($0.name, $0.place) }, "layer")
        let overrides = list(members["overrides"], "overrides", Self.overridesMax) { reader, node throws(Fault) in
            try reader.override(node, of: name, clock)
        }
        return OnCallSchedule(
            name: name, clock: clock, layers: layers, overrides: overrides,
            allowsGaps: try members["gaps"].map { node throws(Fault) in try Self.gaps(node) } ?? false,
            place: Self.place(node))
    }

    private static func gaps(_ node: MarkedYAML) throws(Fault) -> Bool {
        switch try node.text() {
        case "allowed": true
        case "none": false
        default: throw node.fault("`gaps` is `none` or `allowed`")
        }
    }

    private mutating func layer(_ node: MarkedYAML) throws(Fault) -> OnCallSchedule.Layer {
        let members = try node.members(["name", "people", "starts", "length", "handoff", "priority", "only"])
        let name = try self.name(members["name"], of: node)
        guard let peopleNode = members["people"] else { throw node.fault("`people` is missing") }
        var people: [String] = []
        for element in try peopleNode.elements() {
            let person = try self.name(element, of: element)
            if plan.person(person) == nil { faults.append(element.fault("there is no person \(person)")) }
            people.append(person)
        }
        guard !people.isEmpty else { throw peopleNode.fault("a layer needs at least one person") }
        guard let startsNode = members["starts"] else {
            throw node.fault("`starts` is missing, such as 2026-11-02T09:00")
        }
        let starts = try Self.reading(startsNode)
        let turn = try Self.turn(members, starts: starts, of: node)
        let windows = list(members["only"], "times", Self.windowsMax) { _, node throws(Fault) in try Self.window(node) }
        let priority = try members["priority"]?.integer() ?? 0
        guard (-1_000...1_000).contains(priority) else { throw node.fault("a priority is -1000 to 1000") }
        return OnCallSchedule.Layer(
            name: name, people: people, starts: turn.starts, length: turn.length, priority: priority, windows: windows,
            place: Self.place(node))
    }

    /// By its length, or by the day and the time at which the next one comes on.
    private static func turn(
        _ members: [String: MarkedYAML], starts: Int64, of node: MarkedYAML
    ) throws(Fault) -> (starts: Int64, length: Int64) {
        switch (members["length"], members["handoff"]) {
        case (let length?, nil):
            let microseconds = try length.duration() * 1_000
            guard (OnCallSchedule.Layer.lengthMin...OnCallSchedule.Layer.lengthMax).contains(microseconds),
                microseconds % WallClock.minute == 0
            else { throw length.fault("a turn is an hour at least and a year at most, in whole minutes: 12h, 1d, 1w") }
            return (starts, microseconds)
        case (nil, let handoff?):
            let parts = try handoff.members(["at", "on"])
            guard let at = parts["at"] else { throw handoff.fault("`at` is missing, such as 09:00") }
            let minute = try minute(at)
            guard minute < 1_440 else { throw at.fault("a handoff is at 00:00 to 23:59") }
            let weekday = try parts["on"].map { node throws(Fault) in try weekdays(node) }
            guard weekday?.count ?? 1 == 1 else { throw handoff.fault("`on` is one day of the week, such as monday") }
            // The first turn begins at the first handoff from `starts` on.
            var first = WallClock.parts(of: starts).day * WallClock.day + minute * WallClock.minute
            while first < starts || weekday?.contains(WallClock.weekday(ofDay: first / WallClock.day)) == false {
                first += WallClock.day
            }
            return (first, weekday == nil ? WallClock.day : 7 * WallClock.day)
        default: throw node.fault("one of `length` and `handoff` is needed")
        }
    }

    private static func window(_ node: MarkedYAML) throws(Fault) -> OnCallSchedule.Window {
        let members = try node.members(["from", "to", "on"])
        guard !members.isEmpty, (members["from"] == nil) == (members["to"] == nil) else {
            throw node.fault("`from` and `to` come together, such as 09:00 and 17:00; `on` names days")
        }
        let from = try members["from"].map { node throws(Fault) in try minute(node) } ?? 0
        let to = try members["to"].map { node throws(Fault) in try minute(node) } ?? 1_440
        guard from != to, from < 1_440 else {
            throw node.fault("this is no time of the day; leave both out for all of it")
        }
        let days = try members["on"].map { node throws(Fault) in try weekdays(node) } ?? Set(0...6)
        return OnCallSchedule.Window(from: from, to: to, weekdays: days)
    }

    private mutating func override(
        _ node: MarkedYAML, of schedule: String, _ clock: WallClock
    ) throws(Fault) -> OnCallOverride {
        let members = try node.members(["from", "until", "person", "reason"])
        let person = try self.name(members["person"], of: node)
        guard plan.person(person) != nil else {
            throw (members["person"] ?? node).fault("there is no person \(person)")
        }
        guard let from = members["from"], let until = members["until"] else {
            throw node.fault("`from` and `until` are needed, such as 2026-12-24T09:00")
        }
        let times = (try Self.moment(from, clock), try Self.moment(until, clock))
        guard times.0 < times.1 else { throw until.fault("it ends before it begins") }
        return OnCallOverride(
            schedule: schedule, person: person, from: times.0, until: times.1,
            reason: try members["reason"].map { node throws(Fault) in String(try node.text().prefix(Self.textMax)) },
            place: Self.place(node))
    }

    // MARK: Times and names

    private static func reading(_ node: MarkedYAML) throws(Fault) -> Int64 {
        guard let reading = WallClock.reading(try node.text()) else {
            throw node.fault("a time of the schedule's zone such as 2026-11-02T09:00 is expected")
        }
        return reading
    }

    /// A time of the schedule's zone, or one with an offset.
    private static func moment(_ node: MarkedYAML, _ clock: WallClock) throws(Fault) -> Timestamp {
        let text = try node.text()
        if let reading = WallClock.reading(text) { return clock.moment(of: reading) }
        guard let time = Timestamp(rfc3339: text) else {
            throw node.fault("a time such as 2026-12-24T09:00, or 2026-12-24T08:00:00Z, is expected")
        }
        return time
    }

    private static func minute(_ node: MarkedYAML) throws(Fault) -> Int64 {
        let text = try node.text()
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2,
            parts.allSatisfy({ $0.utf8.count == 2 && $0.utf8.allSatisfy { (48...57).contains($0) } }),
            let hour = Int64(parts[0]), let minute = Int64(parts[1]), minute < 60,
            hour < 24 || hour == 24 && minute == 0
        else { throw node.fault("a time of the day such as 09:00 is expected") }
        return hour * 60 + minute
    }

    private static let weekdayNames = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]

    /// `monday:friday`, `saturday:sunday`, one day, or a list of them.
    private static func weekdays(_ node: MarkedYAML) throws(Fault) -> Set<Int> {
        if case .sequence(let elements) = node.content {
            var days: Set<Int> = []
            for element in elements { days.formUnion(try weekdays(element)) }
            guard !days.isEmpty else { throw node.fault("a day of the week is expected") }
            return days
        }
        let ends = try node.text().lowercased().split(separator: ":", omittingEmptySubsequences: false)
            .map { weekdayNames.firstIndex(of: String($0)) }
        guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1] else {
            throw node.fault("days of the week such as monday or monday:friday are expected")
        }
        return Set(first <= last ? Array(first...last) : Array(first...6) + Array(0...last))
    }

    fileprivate func name(_ node: MarkedYAML?, of parent: MarkedYAML) throws(Fault) -> String {
        guard let node else { throw parent.fault("`name` is missing") }
        let text = try node.text()
        do { return try Fields.checkedName(text, path: "name", limits: Limits()) } catch {
            throw node.fault("this is no name: \((error as? Problem)?.detail ?? "")")
        }
    }

    fileprivate static func place(_ node: MarkedYAML) -> OnCallPlan.Place {
        OnCallPlan.Place(line: node.line, column: node.column)
    }
}

extension MarkedYAML {
    fileprivate func elements(orFault reason: String) throws(Fault) -> [MarkedYAML] {
        guard case .sequence = content else { throw fault(reason) }
        return try elements()
    }
}
