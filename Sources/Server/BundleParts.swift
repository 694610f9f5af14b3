import Control
import Kernel

extension SecretShapes {
    /// The shapes that the gateway takes out of texts.
    public static let known = SecretShapes(first: SecretShape.first(in:))
}
