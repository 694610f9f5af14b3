import Kernel

/// Secrets that Reeve itself uses for somebody, who never sees them.
extension SecretService {
    /// A secret's newest value, lent.
    public struct Loan: Sendable {
        /// `nil` where this version was deleted or destroyed.
        public let value: SecretBytes?
        public let version: Int
    }

    /// Reads a secret of one value for somebody else's use. Written down like any reading, with whom it was for.
    ///
    /// - Returns: `nil` where there is none.
    public func lend(_ path: SecretPath, to user: Principal, for caller: Principal) async throws -> Loan? {
        let sealer = try sealing.sealer()
        // Most of those who may bring a key bring none: nothing is written for them.
        let isThere = try await storage.read { try (store.find(path, in: $0)?.version ?? 0) > 0 }
        guard isThere else { return nil }
        let detail = JSONObject([.init(name: "for", value: .string(caller.actor))])
        switch try await storage.write({ try find(path, nil, by: user, detail: detail, in: $0) }) {
        case .refused: throw Self.refused(path)
        case .none: return nil
        case .gone(_, let version): return Loan(value: nil, version: version.number)
        case .sealed(_, let version, let bytes):
            let document = try Self.document(try sealer.open(bytes, Self.context(path, version.number)), path)
            guard let text = Self.single(document) else {
                throw Problem.invalid(
                    "data", "\(path) holds several values and none that is called `value`",
                    hint: "Keep the key by itself, or as `value`.")
            }
            return Loan(value: SecretBytes(text), version: version.number)
        }
    }

    /// The one text of a document: the one that is called `value`, else the only one that there is.
    static func single(_ document: JSONObject) -> String? {
        let text = document["value"]?.string ?? (document.count == 1 ? document.members.first?.value.string : nil)
        return text.map { text in
            // What was read from a file ends with its line.
            var text = text
            while text.last?.isNewline == true { text.removeLast() }
            return text
        }
    }
}
