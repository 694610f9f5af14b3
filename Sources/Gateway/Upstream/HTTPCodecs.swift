import NIOCore
import NIOHTTP1

/// The types of NIO's HTTP codecs, made by one thread before connections need them.
public enum HTTPCodecs {
    private static let made: Void = {
        _ = ByteToMessageHandler(HTTPRequestDecoder())
        _ = ByteToMessageHandler(HTTPResponseDecoder())
    }()

    /// Called before the first connection is made or accepted. Two event loops that ask for these generic classes for
    /// the first time, at the same moment, can meet a race of the Swift runtime (seen with 6.3.1: a null dereference in
    /// `swift_conformsToProtocol`, in about one of five hundred starts under load), and the process ends.
    public static func prepare() { made }
}
