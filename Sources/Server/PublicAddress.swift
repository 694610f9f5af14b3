import Kernel
import Synchronization

/// Where this server is to be reached, as links have it; without a slash at its end. The real port is known once it
/// listens.
final class PublicAddress: Sendable {
    private let settings: Settings.HTTP
    private let port: Mutex<Int>

    init(_ settings: Settings.HTTP) {
        self.settings = settings
        port = Mutex(settings.port)
    }

    func listens(on port: Int) { self.port.withLock { $0 = port } }

    var url: String {
        let url = settings.publicURL ?? "http://\(settings.linkHost):\(port.withLock { $0 })"
        return url.hasSuffix("/") ? String(url.dropLast()) : url
    }
}
