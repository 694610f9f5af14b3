/// Tells secrets from other text by their shape, for those who only ask.
public enum SecretShape {
    /// What the first secret in a text is, such as `openai_key`; `nil` where none has a known shape.
    public static func first(in text: String) -> String? {
        var redactor = Redactor(.secretsOnly)
        _ = redactor.push(text)
        _ = redactor.finish()
        return redactor.findings.keys.min()
    }
}
