/// Values by name, of which the least recently used one goes when there are too many. Every operation is O(1).
struct RecentTable<Value: Sendable>: Sendable {
    private struct Slot: Sendable {
        var name: String
        var value: Value
        var newer: Int
        var older: Int
    }

    private static var none: Int { -1 }

    let capacity: Int
    private var slots: [Slot] = []
    private var places: [String: Int] = [:]
    private var free: [Int] = []
    private var newest = -1
    private var oldest = -1

    /// - Parameter capacity: At least 1.
    init(capacity: Int) {
        self.capacity = max(1, capacity)
    }

    var count: Int { places.count }

    /// All of them, in no order.
    var values: [Value] { places.values.map { slots[$0].value } }

    /// Looks without touching.
    func peek(_ name: String) -> Value? { places[name].map { slots[$0].value } }

    /// Changes the value of a name, made by `make` where it is new, and marks it as used just now.
    mutating func update<Result>(
        _ name: String, orMake make: () -> Value, _ change: (inout Value) -> Result
    ) -> Result {
        let place = self.place(of: name, make)
        if newest != place {
            unlink(place)
            link(place)
        }
        return change(&slots[place].value)
    }

    mutating func remove(_ name: String) {
        guard let place = places.removeValue(forKey: name) else { return }
        unlink(place)
        free.append(place)
    }

    /// Takes out the one that was not used for longest.
    mutating func removeOldest() -> Value? {
        guard oldest != Self.none else { return nil }
        let slot = slots[oldest]
        remove(slot.name)
        return slot.value
    }

    private mutating func place(of name: String, _ make: () -> Value) -> Int {
        if let place = places[name] { return place }
        let place: Int
        let slot = Slot(name: name, value: make(), newer: Self.none, older: Self.none)
        if let unused = free.popLast() {
            place = unused
            slots[place] = slot
        } else if slots.count < capacity {
            place = slots.count
            slots.append(slot)
        } else {
            place = oldest
            unlink(place)
            places[slots[place].name] = nil
            slots[place] = slot
        }
        places[name] = place
        link(place)
        return place
    }

    private mutating func link(_ place: Int) {
        slots[place].older = newest
        slots[place].newer = Self.none
        if newest != Self.none { slots[newest].newer = place }
        newest = place
        if oldest == Self.none { oldest = place }
    }

    private mutating func unlink(_ place: Int) {
        let (newer, older) = (slots[place].newer, slots[place].older)
        if newer != Self.none { slots[newer].older = older } else if newest == place { newest = older }
        if older != Self.none { slots[older].newer = newer } else if oldest == place { oldest = newer }
    }
}
