import Kernel

/// A secret by its name, never by its value: `secret://user/OWNER/NAME`, `secret://project/OWNER/NAME`,
/// `secret://org/NAME` or `secret://platform/NAME`.
public struct SecretReference: Sendable, Equatable {
    public static let scheme = "secret://"

    public let path: SecretPath

    /// `nil` for a text that is no reference.
    public init?(_ text: String) {
        guard text.hasPrefix(Self.scheme), let path = try? SecretPath(String(text.dropFirst(Self.scheme.count))) else {
            return nil
        }
        self.path = path
    }
}
