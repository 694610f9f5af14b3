import Kernel

/// Reads what a person says of a flag; what does not hold together is refused with its place.
extension FlagDefinition {
    static let variantsMax = 50
    static let rulesMax = 100
    static let conditionsMax = 20
    static let schedulesMax = 50
    static let prerequisitesMax = 10
    static let metadataMax = 20
    static let descriptionMax = 2_000
    /// Bytes of a variant's value as JSON: each pin keeps one.
    static let valueBytesMax = 8_192
    /// Bytes of the whole.
    static let bytesMax = 262_144

    private static let members = [
        "type", "mode", "enabled", "variants", "defaultVariant", "offVariant", "rules", "schedules", "prerequisites",
        "configKey", "description", "metadata", "salt",
    ]

    /// - Parameter salt: For a flag that names none.
    public init(_ fields: Fields, salt other: String) throws {
        try fields.refuseOthers(than: Self.members + FeatureFlag.ownMembers)
        let kind = try fields.choice("type", Kind.self)
        let variants = try Self.variants(fields, of: kind)
        let names = variants.map(\.name)
        let reader = OutcomeReader(variants: names)
        rules = try Self.rules(fields, reader)
        schedules = try Self.schedules(fields, reader)
        try Self.checkIDs(rules.map(\.id), schedules.map(\.id), fields)
        defaultVariant = try reader.variant(
            fields.string("defaultVariant", max: FeatureFlag.nameMax), fields, "defaultVariant")
        offVariant = try fields.optionalString("offVariant", max: FeatureFlag.nameMax).map {
            try reader.variant($0, fields, "offVariant")
        }
        mode = try fields.optionalChoice("mode", Mode.self) ?? .live
        isEnabled = try fields.optionalBool("enabled") ?? true
        prerequisites = try Self.prerequisites(fields)
        configKey = try fields.optionalString("configKey", max: FeatureFlag.nameMax)
        salt = try fields.optionalString("salt", max: FeatureFlag.nameMax) ?? other
        (self.kind, self.variants) = (kind, variants)
        var document = JSONObject()
        document["type"] = .string(kind.rawValue)
        document["mode"] = .string(mode.rawValue)
        document["enabled"] = .bool(isEnabled)
        document["variants"] = fields.value("variants")
        document["defaultVariant"] = .string(defaultVariant)
        document["offVariant"] = offVariant.map { .string($0) }
        document["rules"] = fields.value("rules") ?? .array([])
        document["schedules"] = fields.value("schedules") ?? .array([])
        document["prerequisites"] = fields.value("prerequisites") ?? .array([])
        document["configKey"] = configKey.map { .string($0) }
        document["description"] = try fields.optionalString("description", max: Self.descriptionMax).map { .string($0) }
        document["metadata"] = .object(try Self.metadata(fields))
        document["salt"] = .string(salt)
        self.document = document
        let bytes = JSONValue.object(document).bytes.count
        guard bytes <= Self.bytesMax else {
            throw Problem(
                .invalid, "The flag has \(bytes) bytes; \(Self.bytesMax) are allowed.",
                hint: "Let rules ask for an attribute of groups instead of naming everybody.")
        }
    }

    // MARK: Its parts

    private static func variants(_ fields: Fields, of kind: Kind) throws -> [Variant] {
        guard let named = try fields.optionalFields("variants") else {
            throw Problem.invalid(
                fields.path("variants"), "it is missing", hint: "Write {\"variants\":{\"on\":true,\"off\":false}}.")
        }
        guard (1...variantsMax).contains(named.object.count) else {
            throw Problem.invalid(fields.path("variants"), "1 to \(variantsMax) variants are expected")
        }
        return try named.object.members.map { member in
            let path = named.path(member.name)
            try checkName(member.name, path: path)
            guard kind.fits(member.value) else {
                throw Problem.invalid(
                    path, "the flag's type is \(kind.rawValue), and this value is \(member.value.typeName)")
            }
            guard member.value.bytes.count <= valueBytesMax else {
                throw Problem.invalid(path, "at most \(valueBytesMax) bytes are allowed")
            }
            return Variant(name: member.name, value: member.value)
        }
    }

    private static func rules(_ fields: Fields, _ reader: OutcomeReader) throws -> [Rule] {
        guard fields.value("rules") != nil else { return [] }
        return try fields.objects("rules", max: rulesMax).enumerated().map { index, rule in
            try rule.refuseOthers(than: ["id", "when", "variant", "split"])
            let id = try rule.optionalString("id", max: FeatureFlag.nameMax) ?? "rule-\(index + 1)"
            try checkName(id, path: rule.path("id"))
            let when = try rule.optionalFields("when")
            let members = when?.object.members ?? []
            guard members.count <= conditionsMax else {
                throw Problem.invalid(rule.path("when"), "at most \(conditionsMax) conditions are allowed")
            }
            let conditions = try members.map { member in
                let path = when?.path(member.name) ?? member.name
                guard !member.name.isEmpty, member.name.unicodeScalars.count <= FeatureFlag.nameMax else {
                    throw Problem.invalid(path, "an attribute's name has 1 to \(FeatureFlag.nameMax) characters")
                }
                return try FlagCondition(member.name, member.value, path: path)
            }
            return Rule(id: id, conditions: conditions, outcome: try reader.outcome(rule))
        }
    }

    private static func schedules(_ fields: Fields, _ reader: OutcomeReader) throws -> [Schedule] {
        guard fields.value("schedules") != nil else { return [] }
        return try fields.objects("schedules", max: schedulesMax).enumerated().map { index, schedule in
            try schedule.refuseOthers(than: ["id", "from", "until", "variant", "split"])
            let id = try schedule.optionalString("id", max: FeatureFlag.nameMax) ?? "schedule-\(index + 1)"
            try checkName(id, path: schedule.path("id"))
            let (from, until) = (try schedule.optionalTime("from"), try schedule.optionalTime("until"))
            guard from != nil || until != nil else {
                throw Problem.invalid(
                    schedule.path("from"), "a schedule has a beginning or an end",
                    hint: "What holds at all times is the defaultVariant.")
            }
            if let from, let until, until <= from {
                throw Problem.invalid(schedule.path("until"), "the end is not behind the beginning")
            }
            return Schedule(id: id, from: from, until: until, outcome: try reader.outcome(schedule))
        }
    }

    private static func prerequisites(_ fields: Fields) throws -> [Prerequisite] {
        guard fields.value("prerequisites") != nil else { return [] }
        return try fields.objects("prerequisites", max: prerequisitesMax).map { item in
            try item.refuseOthers(than: ["flag", "variants"])
            let variants = try item.optionalNames("variants", max: variantsMax) ?? []
            guard !variants.isEmpty else {
                throw Problem.invalid(item.path("variants"), "the variants that the flag may serve are missing")
            }
            return Prerequisite(flag: try item.string("flag", max: FeatureFlag.nameMax), variants: variants)
        }
    }

    /// OpenFeature's metadata of a flag are plain values.
    private static func metadata(_ fields: Fields) throws -> JSONObject {
        guard let found = try fields.optionalFields("metadata") else { return JSONObject() }
        guard found.object.count <= metadataMax else {
            throw Problem.invalid(fields.path("metadata"), "at most \(metadataMax) members are allowed")
        }
        for member in found.object.members {
            let isPlain = member.value.bool != nil || member.value.double != nil || member.value.string != nil
            guard isPlain, member.value.bytes.count <= descriptionMax, member.name.utf8.count <= FeatureFlag.nameMax
            else {
                throw Problem.invalid(
                    found.path(member.name),
                    "a string, a number or a boolean of at most \(descriptionMax) bytes is expected")
            }
        }
        return found.object
    }

    private static func checkIDs(_ rules: [String], _ schedules: [String], _ fields: Fields) throws {
        var seen: Set<String> = []
        let places =
            rules.enumerated().map { ("rules/\($0)/id", $1) }
            + schedules.enumerated().map { ("schedules/\($0)/id", $1) }
        for (place, id) in places where !seen.insert(id).inserted {
            throw Problem.invalid(
                fields.path(place), "\"\(id)\" is the id of another rule or schedule of this flag")
        }
    }

    /// What may stand in addresses, labels and lists as it is.
    static func checkName(_ text: String, path: String) throws {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard isPlain, !text.hasPrefix("."), (1...FeatureFlag.nameMax).contains(text.utf8.count) else {
            throw Problem.invalid(
                path, "1 to \(FeatureFlag.nameMax) letters, digits, -, _ and dots are expected, and no dot in front")
        }
    }
}

/// Reads what rules and schedules serve.
private struct OutcomeReader {
    let variants: [String]

    func variant(_ name: String, _ fields: Fields, _ member: String) throws -> String {
        guard variants.contains(name) else {
            throw Problem.invalid(
                fields.path(member), "there is no variant \"\(name)\"",
                hint: "The flag has: \(variants.joined(separator: ", ")).")
        }
        return name
    }

    func outcome(_ fields: Fields) throws -> FlagDefinition.Outcome {
        let name = try fields.optionalString("variant", max: FeatureFlag.nameMax)
        let split = try fields.optionalFields("split")
        switch (name, split) {
        case (let name?, nil): return .variant(try variant(name, fields, "variant"))
        case (nil, let split?): return .split(try wishes(split, path: fields.path("split")))
        case (nil, nil): throw Problem.invalid(fields.path("variant"), "a variant or a split is missing")
        case (.some, .some): throw Problem.invalid(fields.path("split"), "a variant stands beside it; name one of them")
        }
    }

    private func wishes(_ split: Fields, path: String) throws -> [FlagShares.Wish] {
        let wishes = try split.object.members.map { member in
            _ = try variant(member.name, split, member.name)
            guard let percent = member.value.double, (0...100).contains(percent) else {
                throw Problem.invalid(split.path(member.name), "a percentage from 0 to 100 is expected")
            }
            let buckets = (percent * 100).rounded()
            guard abs(percent * 100 - buckets) < 1e-6 else {
                throw Problem.invalid(split.path(member.name), "a percentage has at most two digits behind the point")
            }
            return FlagShares.Wish(member.name, Int(buckets))
        }
        let sum = wishes.reduce(0) { $0 + $1.buckets }
        guard sum == FlagShares.buckets else {
            throw Problem.invalid(
                path, "the percentages come to \(Double(sum) / 100), not to 100",
                hint: "Give what is left to the variant that the others get.")
        }
        return wishes
    }
}
