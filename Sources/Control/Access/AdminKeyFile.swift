import Foundation
import Kernel

/// The first key of a store: made at its first start and written to a file that only the owner can read. It is never
/// printed and never logged.
public struct AdminKeyFile: Sendable {
    public static let name = "admin.key"

    /// What a start found.
    public enum Finding: Sendable, Equatable {
        /// The store was new, and the file now holds its key.
        case made
        /// The file's key is in force.
        case inForce
        /// The store has keys, but the file is gone.
        case missing
        /// The store has keys, and the file's is not among those in force.
        case foreign
        /// Another key takes the place of the file's, which is still in force for a while.
        case replaced
    }

    private let path: String

    public init(dataDirectory: String) {
        path = "\(dataDirectory)/\(Self.name)"
    }

    /// Makes the first key where the store has none; otherwise leaves everything as it is and tells what it found.
    ///
    /// The file is durable before the store knows the key, so that a crash between the two loses nothing: the next
    /// start finds a key in the file and a store without one, and goes on from there.
    public func prepare(_ access: AccessService, world: World) async throws -> Finding {
        let found = try read()
        guard try await !access.storage.read({ try access.store.hasKeys(in: $0) }) else {
            guard let found else { return .missing }
            guard try await access.authenticate(key: found)?.role == .admin else { return .foreign }
            let key = try await access.storage.read {
                try access.store.find(sha256: Digest.sha256(found), in: $0)
            }
            return key?.replacedBy == nil ? .inForce : .replaced
        }
        let secret = found ?? Secret.key(.admin, entropy: world.entropy)
        if found == nil { try DurableFile.write(Array("\(secret)\n".utf8), to: path) }
        let draft = try access.draft(role: .admin, name: "admin", agent: nil, by: .system)
        return try await access.storage.write { transaction in
            // Another replica may have been first.
            guard try !access.store.hasKeys(in: transaction) else { return .foreign }
            try access.issue(IssuedKey(key: draft.key, secret: secret), by: .system, in: transaction)
            return found == nil ? .made : .inForce
        }
    }

    /// Puts a new key in the place of the file's, where that is the one that was rotated: who starts the command line
    /// beside the data directory would else be locked out at the end of the overlap. In one step, for the same readers.
    ///
    /// - Returns: Whether the file held the old key.
    /// - Throws: What the file system says.
    func replace(_ old: Identifier<AccessKey>, by secret: String, in access: AccessService) async throws -> Bool {
        guard let found = try read() else { return false }
        let key = try await access.storage.read { try access.store.find(sha256: Digest.sha256(found), in: $0) }
        guard key?.id == old else { return false }
        // A link stays one: what it leads to is replaced.
        let place = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        let rights = try FileManager.default.attributesOfItem(atPath: place)[.posixPermissions] as? NSNumber
        // Never for more readers than its owner.
        let mode = mode_t(rights?.uint16Value ?? 0o600) & 0o600
        try DurableFile.write(Array("\(secret)\n".utf8), to: place, mode: mode)
        return true
    }

    private func read() throws -> String? {
        guard let data = FileManager.default.contents(atPath: path) else {
            guard !FileManager.default.fileExists(atPath: path) else {
                throw Problem(
                    .conflict, "The file \(path) cannot be read.", hint: "Give it to the user that runs Reeve.")
            }
            return nil
        }
        let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard Secret.isKey(text) else {
            throw Problem(
                .conflict, "The file \(path) holds no key.",
                hint: "Put the admin key back into it, or move the file away.")
        }
        return text
    }
}

extension AdminKeyFile.Finding {
    /// What the operator should know and do; `nil` where all is well.
    public var advice: String? {
        switch self {
        case .made, .inForce: nil
        case .missing:
            "admin.key is not in the data directory, and the store has keys, so none was made. Use the admin key that "
                + "you kept; or open the login link and make a new one."
        case .foreign:
            "The key in admin.key is not an admin key in force of this store. Use the admin key that you kept; or open "
                + "the login link, make a new one and put it into admin.key."
        case .replaced:
            "The key in admin.key was rotated and ends soon. Put the key that took its place into admin.key."
        }
    }
}

extension AccessService {
    /// A login link for whoever starts the server, for the oldest admin key in force; `nil` where there is none.
    public func startLink() async throws -> LoginLink? {
        let link = draftLink()
        return try await storage.write { transaction in
            guard let key = try store.firstAdmin(in: transaction) else { return nil }
            try issue(link, for: key.principal, in: transaction)
            return link
        }
    }
}
