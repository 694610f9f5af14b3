/// The version of this program.
public enum ReeveVersion {
    /// Semantic versioning 2.0; raised with the changelog.
    public static let current = "0.1.0"
}
