import Foundation
import Kernel

/// What secrets are sealed with in this process, or why nothing is.
public struct SecretSealing: Sendable {
    private let found: Result<Sealer, Problem>
    /// The file of the key that this start made; `nil` where it was there before.
    public let madeAt: String?

    /// Nothing can be sealed: as for the reference.
    public static let absent = SecretSealing(
        .failure(Problem(.masterKey, "This Reeve has no master key.", hint: "Start it with reeve serve.")))

    private init(_ found: Result<Sealer, Problem>, madeAt: String? = nil) {
        (self.found, self.madeAt) = (found, madeAt)
    }

    /// With a key that is at hand, for tests.
    public init(_ sealer: Sealer) { self.init(.success(sealer)) }

    /// Why nothing can be sealed or opened.
    public var fault: Problem? {
        if case .failure(let problem) = found { return problem }
        return nil
    }

    func sealer() throws -> Sealer { try found.get() }

    /// Takes the master key, and sees that it is the one that sealed what is in this store.
    ///
    /// A key that was lost stops nothing but secrets: everything else still has to run.
    ///
    /// - Throws: ``Problem`` where the key that was named cannot be had, or others could have read it.
    public static func open(
        _ source: MasterKeySource, storage: any Storage, world: World
    ) async throws -> SecretSealing {
        let store = SecretStore()
        // Another replica may have a key and have sealed nothing yet: a second key would be as bad as a lost one.
        let (known, hasSealed) = try await storage.read { (try store.masterKeys(in: $0), try store.hasSealed(in: $0)) }
        let ring: MasterKeyRing
        var madeAt: String?
        do {
            let finding = try source.load(hasSealed: hasSealed || !known.isEmpty, entropy: world.entropy)
            ring = finding.ring
            if finding.isNew, case .made(let path) = source { madeAt = path }
        } catch let problem as Problem {
            guard case .made(let path) = source, !FileManager.default.fileExists(atPath: path) else { throw problem }
            return SecretSealing(.failure(problem))
        }
        let fingerprints = ring.fingerprints
        let other = fingerprints.first { version, fingerprint in known[version].map { $0 != fingerprint } ?? false }
        if let version = other?.key {
            return SecretSealing(
                .failure(
                    Problem(
                        .masterKey, "Version \(version) of the master key is not the one that sealed these secrets.",
                        hint: "Put the key back that they were sealed with; replicas of one database share one key.")))
        }
        let now = world.now
        try await storage.write { transaction in
            for (version, fingerprint) in fingerprints where known[version] == nil {
                try store.note(masterKey: version, fingerprint, at: now, in: transaction)
            }
        }
        return SecretSealing(.success(Sealer(ring: ring, entropy: world.entropy)), madeAt: madeAt)
    }
}
