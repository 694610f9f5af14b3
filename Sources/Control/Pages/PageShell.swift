import Kernel
import Mustache

/// Where the page's assets are, with their content's hash in the query so that browsers may keep them for good.
public struct PageAssets: PageView {
    public var icon = "/assets/favicon.svg"
    public var style = "/assets/app.css"
    public var script = "/assets/app.js"
    public var htmx = "/assets/htmx.min.js"
    public var sse = "/assets/sse.js"
    public var chart = "/assets/chart.min.js"
    public var trace = "/assets/trace.js"
    public var span = "/assets/span.js"
    public var replay = "/assets/replay.js"
    public var overview = "/assets/overview.js"

    public init() {}

    /// - Parameter address: gives the address for an asset's name.
    public init(_ address: (String) -> String) {
        icon = address("favicon.svg")
        style = address("app.css")
        script = address("app.js")
        htmx = address("htmx.min.js")
        sse = address("sse.js")
        chart = address("chart.min.js")
        trace = address("trace.js")
        span = address("span.js")
        replay = address("replay.js")
        overview = address("overview.js")
    }
}

/// The places of the navigation.
public enum PagePlace: String, Sendable, CaseIterable {
    case fleet, overview, agents, bundles, tasks, queues, reviews, schedules, calls, models, costs, budgets, flags,
        traces,
        sessions,
        logs, alerts, incidents, oncall
    case events, audit, secrets, keys

    var path: String { self == .fleet ? "/" : "/\(rawValue)" }
    var label: String { self == .oncall ? "On-call" : PageText.label(rawValue) }

    /// Whom its page admits.
    public var permission: Permission {
        switch self {
        case .audit, .secrets: .operate
        case .overview, .bundles, .traces, .sessions, .logs, .alerts, .incidents, .oncall: .operateOrView
        case .keys: .administer
        default: .read
        }
    }

    /// Those with a place of their own on a small screen.
    static let tabs: Set<PagePlace> = [.fleet, .tasks, .queues, .reviews]
}

/// Makes pages: the frame around them, and what every one of them knows of its viewer.
public struct PageShell: Sendable {
    /// What the navigation counts: tasks that wait for a verdict, and tasks that were set aside.
    public struct Badges: Sendable {
        public var inReview: Int64
        public var held: Int64

        public init(inReview: Int64 = 0, held: Int64 = 0) {
            self.inReview = inReview
            self.held = held
        }
    }

    let world: World
    private let assets: PageAssets
    private let badges: @Sendable () async throws -> Badges

    public init(assets: PageAssets, world: World, badges: @escaping @Sendable () async throws -> Badges) {
        self.assets = assets
        self.world = world
        self.badges = badges
    }

    /// A page's route. What its handler refuses is shown as a page too.
    func route(
        _ path: String, _ permission: Permission, _ summary: String, handler: @escaping Route.Handler
    ) -> Route {
        Route(.get, path, permission, summary, shape: .page) { request in
            do {
                return try await handler(request)
            } catch let problem as Problem where problem.code.status < 500 {
                return try await refusal(problem, request)
            }
        }
    }

    /// A whole page.
    ///
    /// - Parameters:
    ///   - place: Where the navigation says that the viewer is.
    ///   - topics: First parts of the event types after which the page is fetched anew; `*` for all.
    func page(
        _ title: String, at place: PagePlace, template: String, view: some PageView, topics: [String],
        request: APIRequest, status: Int = 200
    ) async throws -> APIReply {
        let frame = PageFrame(
            title: title, body: template, page: view, place: place, topics: topics, assets: assets, now: world.now,
            principal: request.principal, badges: try await badges())
        return Self.reply(PageLibrary.shared.render("layout", frame), status: status)
    }

    /// A piece of a page, for a script that asks for it alone.
    func fragment(_ template: String, _ view: some PageView) -> APIReply {
        Self.reply(PageLibrary.shared.render(template, view), status: 200)
    }

    private func refusal(_ problem: Problem, _ request: APIRequest) async throws -> APIReply {
        let view = RefusalView(headline: problem.code.title, detail: problem.detail, hint: problem.hint)
        let place = PagePlace.allCases.last { request.path.hasPrefix($0.path) } ?? .fleet
        return try await page(
            problem.code.title, at: place, template: "oops", view: view, topics: [], request: request,
            status: problem.code.status)
    }

    static func reply(_ html: String, status: Int) -> APIReply {
        var reply = APIReply.html(html, status: status)
        // Pages show what only their viewer may see, and are old after a second.
        reply.headers.append(("cache-control", "no-store"))
        return reply
    }
}

/// What could not be shown, and why.
struct RefusalView: PageView {
    let headline: String
    let detail: String
    let hint: String
}

/// An entry of the navigation.
struct PlaceView: PageView {
    struct Badge: PageView {
        let count: String
        let style: String
    }

    let id: String
    let path: String
    let label: String
    let isCurrent: Bool
    let startsGroup: Bool
    let badge: Badge?
}

/// What the layout is filled from: the bottom of every template's stack.
struct PageFrame: PageView {
    let title: String
    let body: String
    let page: any PageView
    let isFramed: Bool
    let active: String
    let topics: String
    let assets: PageAssets
    /// Milliseconds since 1970, for scripts.
    let now: Int64
    let who: String
    let role: String
    let canOperate: Bool
    let navigation: [PlaceView]
    let tabs: [PlaceView]
    let moreTabs: [PlaceView]

    init(
        title: String, body: String, page: any PageView, place: PagePlace, topics: [String], assets: PageAssets,
        now: Timestamp, principal: Principal, badges: PageShell.Badges
    ) {
        self.title = title
        self.body = body
        self.page = page
        isFramed = true
        active = place.rawValue
        self.topics = topics.joined(separator: " ")
        self.assets = assets
        self.now = now.microseconds / 1_000
        who = principal.name
        role = principal.role.rawValue
        canOperate = Permission.operate.admits(principal.role)
        let seen = PagePlace.allCases.filter { $0.permission.admits(principal.role) }
        navigation = seen.map { Self.entry($0, isCurrent: $0 == place, badges) }
        tabs = navigation.filter { entry in PagePlace.tabs.contains { $0.rawValue == entry.id } }
        moreTabs = navigation.filter { entry in !PagePlace.tabs.contains { $0.rawValue == entry.id } }
    }

    /// A page for strangers, without navigation.
    init(title: String, body: String, page: any PageView) {
        self.title = title
        self.body = body
        self.page = page
        isFramed = false
        active = ""
        topics = ""
        assets = PageAssets()
        now = 0
        who = ""
        role = ""
        canOperate = false
        navigation = []
        tabs = []
        moreTabs = []
    }

    private static func entry(_ place: PagePlace, isCurrent: Bool, _ badges: PageShell.Badges) -> PlaceView {
        let badge: PlaceView.Badge? =
            switch place {
            case .reviews where badges.inReview > 0:
                PlaceView.Badge(count: PageText.count(badges.inReview), style: "")
            case .tasks where badges.held > 0: PlaceView.Badge(count: PageText.count(badges.held), style: "warn")
            default: nil
            }
        return PlaceView(
            id: place.rawValue, path: place.path, label: place.label, isCurrent: isCurrent,
            startsGroup: place == .events, badge: badge)
    }

    /// The last to be asked: a name that nobody on the stack knows is a mistake in a template.
    func child(named name: String) -> Any? {
        for child in Mirror(reflecting: self).children where child.label == name { return child.value }
        assertionFailure("the template \(body) asks for \(name), which no view has")
        return nil
    }
}
