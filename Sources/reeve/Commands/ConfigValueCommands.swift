import ArgumentParser
import Kernel
import Runner

/// Where values are set above a bundle.
enum ConfigLayerOption: String, ExpressibleByArgument, CaseIterable {
    case environment, user
}

/// Which layer, and whose.
struct ConfigLayerOptions: ParsableArguments {
    @Option(help: "environment for the agent, or user for one of its users.")
    var layer: ConfigLayerOption

    @Option(help: "The user, with --layer user.")
    var user: String?

    func validate() throws {
        guard (layer == .user) == (user != nil) else {
            throw ValidationError(layer == .user ? "Name the user with --user." : "--user goes with --layer user.")
        }
    }
}

enum ConfigValueAnswer {
    /// One value with where it comes from.
    ///
    /// - Parameter session: Whose pins were asked for.
    static func answer(_ key: String, _ found: JSONValue, session: String? = nil) -> Answer {
        var text = "\(key) = \(found["value"]?.text ?? "null"), from \(found["layer"]?.string ?? "")"
        for (name, words) in [("flag", "flag"), ("variant", "variant"), ("version", "version"), ("author", "by")] {
            if let value = found[name]?.string { text += ", \(words) \(value.prefix(40))" }
        }
        if let session, found["flag"]?.string != nil {
            text +=
                found["pinned"]?.bool == true
                ? "\npinned: the session \(session.prefix(60)) keeps this variant, whatever the flag says now"
                : "\nnot pinned: the session \(session.prefix(60)) keeps nothing of this flag"
        }
        text += "\n\(found["explanation"]?.string ?? "")"
        for layer in found["layers"]?.array ?? [] {
            text += "\n  \(layer["layer"]?.string ?? ""): \(layer["value"]?.text ?? "")"
        }
        return Answer(json: found, text: text)
    }
}

struct ConfigExplain: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "explain", "Say what a key's value is, and which layer says so.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The agent's name.") var agent: String
    @Argument(help: "The key, such as models.main or limits.maxTokens.") var key: String
    @Option(help: "With what holds for this user.") var user: String?
    @Option(help: "With what this session keeps of pinned flags.") var session: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let path = BundleArgument.path(
            agent, "config", "values", key, query: [("user", user), ("session", session)])
        return ConfigValueAnswer.answer(key, try await reeve.get(path), session: session)
    }
}

struct ConfigSet: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "set", "Set a key for an agent or for one of its users, above the bundle.")

    @OptionGroup var client: ClientOptions
    @OptionGroup var place: ConfigLayerOptions
    @Argument(help: "The agent's name.") var agent: String
    @Argument(help: "The key, such as models.main or limits.maxTokens.") var key: String
    @Argument(help: "The value, as JSON or as plain text.") var value: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let parsed = (try? JSONParser.parse(Array(value.utf8))) ?? .string(value)
        var body = JSONObject()
        body["layer"] = .string(place.layer.rawValue)
        body["value"] = parsed
        body.add("user", place.user)
        return ConfigValueAnswer.answer(
            key, try await reeve.put(BundleArgument.path(agent, "config", "values", key), .object(body)))
    }
}

struct ConfigUnset: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "unset", "Take back what was set for an agent or for one of its users.")

    @OptionGroup var client: ClientOptions
    @OptionGroup var place: ConfigLayerOptions
    @Argument(help: "The agent's name.") var agent: String
    @Argument(help: "The key.") var key: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let path = BundleArgument.path(
            agent, "config", "values", key, query: [("layer", place.layer.rawValue), ("user", place.user)])
        return ConfigValueAnswer.answer(key, try await reeve.delete(path))
    }
}
