/// What a task says of the model that it asks for.
public enum TaskWish: Sendable, Equatable {
    /// Nobody holds such a task by a live claim, as far as this process knows.
    case unknown
    case nothing
    /// A model's name, or a tier's as `tier:cheap`.
    case model(String)
}
