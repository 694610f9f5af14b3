import Kernel

/// A model with all that its calls share. An object, as each call refers to its own.
final class ModelEntry: Sendable {
    let settings: ModelSettings
    let targets: [TargetState]
    /// `nil` where nothing is looked for in its input.
    let check: InputCheck?
    let cache: SharedAnswers?
    let semantic: SemanticAnswers?

    init(_ settings: ModelSettings, targets: [TargetState]) {
        self.settings = settings
        self.targets = targets
        check = InputCheck(settings.input, model: settings.name)
        cache = settings.cache.map(SharedAnswers.init)
        semantic = settings.cache.flatMap(SemanticAnswers.init)
    }
}
