import Kernel
import Synchronization

/// The runbooks as they are now: the settings' files are read anew once they change, and where one of them is wrong
/// all stays as it was.
public final class RunbookShelf: Sendable {
    /// How often files are looked at for changes.
    static let interval = Span.seconds(5)

    private struct State {
        var library: RunbookLibrary
        var signature: String
        var fault: String?
        /// How often files were taken anew.
        var revision: Int64 = 0
    }

    private let globs: [String]
    private let folder: String
    private let state: Mutex<State>

    /// A library that stays as it is.
    public init(_ library: RunbookLibrary) {
        (globs, folder) = ([], "")
        state = Mutex(State(library: library, signature: ""))
    }

    /// - Parameter folder: The paths of the settings begin there.
    /// - Throws: As ``RunbookLibrary/configured(by:beside:)``.
    public init(configuredBy document: JSONValue, beside folder: String) throws {
        (globs, self.folder) = (try RunbookLibrary.globs(of: document), folder)
        // What is written while it is read is read anew.
        let signature = RunbookLibrary.signature(globs, beside: folder)
        state = Mutex(State(library: try .configured(by: document, beside: folder), signature: signature))
    }

    public var library: RunbookLibrary { state.withLock { $0.library } }
    /// Another number once files were taken anew.
    var revision: Int64 { state.withLock { $0.revision } }
    /// Why what is written in the files now is not taken, with its place; `nil` where it is.
    public var fault: String? { state.withLock { $0.fault } }

    public var loops: [Loop] {
        globs.isEmpty ? [] : [Loop("runbooks.reload", every: Self.interval) { self.reload() }]
    }

    func reload() {
        let signature = RunbookLibrary.signature(globs, beside: folder)
        guard signature != state.withLock({ $0.signature }) else { return }
        do {
            let library = try RunbookLibrary.shipped.replaced(by: RunbookLibrary.read(globs, beside: folder))
            state.withLock {
                $0 = State(library: library, signature: signature, revision: $0.revision + 1)
            }
        } catch {
            state.withLock { ($0.signature, $0.fault) = (signature, "\(error)") }
        }
    }
}
