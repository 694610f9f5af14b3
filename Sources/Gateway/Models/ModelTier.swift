/// How good, and how dear, a model is: what a type of task asks for instead of a model's name.
public enum ModelTier: String, Sendable, CaseIterable {
    case cheap, standard, premium
}
