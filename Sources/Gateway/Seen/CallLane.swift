/// Calls of one kind, with the places of their series: what is alike is looked up once and not for every call.
struct CallLane: Sendable {
    /// All that labels are made of.
    struct Key: Hashable, Sendable {
        let model: String
        /// Empty where there is none; so are the next three.
        let agent: String
        let provider: String
        let target: String
        let failure: String
        let door: ModelDoor
        let status: CallRecord.Status

        init(_ record: CallRecord, model: String) {
            self.model = model
            agent = record.agent ?? ""
            provider = record.provider ?? ""
            target = record.target ?? ""
            failure = record.status == .done ? "" : CallMeters.failureClass(record)
            door = record.door
            status = record.status
        }
    }

    /// Series that each call of the kind counts in, or some of them do.
    enum Slot: Int, CaseIterable {
        case calls, errors, cost, unpriced, answered
        case duration, overhead, firstToken, operation, serverFirstToken, inputTotal, outputTotal
    }

    /// By slot; negative where nobody asked yet.
    private var places: [Int32]

    init() {
        places = [Int32](repeating: -1, count: Slot.allCases.count)
    }

    private init(places: [Int32]) {
        self.places = places
    }

    /// What stands where a lane was taken out.
    static let empty = CallLane(places: [])

    /// - Parameter find: Asked once.
    mutating func place(_ slot: Slot, _ find: () -> Int) -> Int {
        if places[slot.rawValue] < 0 { places[slot.rawValue] = Int32(clamping: find()) }
        return Int(places[slot.rawValue])
    }
}
