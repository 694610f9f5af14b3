import Foundation
import Kernel
import Synchronization

/// The keys of providers, read from where the settings say. They are kept in memory alone and shown nowhere.
public final class ProviderKeyring: Sendable {
    /// Bytes of a key file.
    static let keyBytesMax = 16 << 10

    private let settingsFile: String
    private let sources: [KeySource]
    private let keys: Mutex<[KeySource: String]>
    /// Those that Reeve keeps.
    let kept: KeptKeys

    /// - Parameters:
    ///   - settingsFile: The path of the settings file, beside which relative paths begin.
    ///   - vault: Who has the keys that Reeve keeps; `nil` where it keeps none.
    public init(
        _ settings: GatewaySettings, settingsFile: String, vault: (any KeyVault)? = nil,
        world: World = .live
    ) {
        self.settingsFile = settingsFile
        kept = KeptKeys(vault, world: world)
        sources = settings.providers.flatMap(\.keys.sources)
        keys = Mutex([:])
    }

    /// Reads all sources anew. A source that cannot be read keeps the key it had: a file is replaced in two steps.
    ///
    /// - Returns: What could not be read, in words that hold no key.
    @discardableResult
    public func reload() -> [String] {
        var faults: [String] = []
        var found: [KeySource: String] = [:]
        for source in sources {
            switch source {
            case .environment(let name):
                if let value = ProcessInfo.processInfo.environment[name], !value.isEmpty {
                    found[source] = value
                } else {
                    faults.append("the variable \(name) is not set")
                }
            case .kept: continue
            case .file(let path):
                let path = KeySource.path(path, besides: settingsFile)
                guard let data = FileManager.default.contents(atPath: path), data.count <= Self.keyBytesMax,
                    let text = String(validating: data, as: UTF8.self)
                else {
                    faults.append("\(path) cannot be read as a key")
                    continue
                }
                let key = text.trimmingCharacters(in: .whitespacesAndNewlines)
                if Self.isKey(key) { found[source] = key } else { faults.append("\(path) does not hold a key") }
            }
        }
        keys.withLock { $0.merge(found) { $1 } }
        kept.forgetOld()
        return faults
    }

    /// Whether a text can stand in a header.
    static func isKey(_ text: String) -> Bool {
        (1...keyBytesMax).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    func key(_ source: KeySource?) -> String? { source.flatMap { source in keys.withLock { $0[source] } } }
}
