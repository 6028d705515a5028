//! Names of people.

pub(crate) const FIRST: [&str; 32] = [
    "Alice", "Bruno", "Carla", "David", "Erin", "Felix", "Grace", "Hugo", "Irene", "Jonas", "Karin", "Leon", "Marta",
    "Nils", "Olga", "Pedro", "Quinn", "Rosa", "Sven", "Tanja", "Ugo", "Vera", "Wanda", "Xenia", "Yusuf", "Zoe",
    "Anton", "Berta", "Cyril", "Dora", "Emil", "Frida",
];

pub(crate) const LAST: [&str; 40] = [
    "Adams", "Blake", "Costa", "Dietrich", "Ekberg", "Fischer", "Gomez", "Hansen", "Ito", "Jensen", "Keller", "Larsen",
    "Meyer", "Novak", "Owens", "Petrov", "Quist", "Rossi", "Schmidt", "Tanaka", "Ueda", "Vogel", "Weber", "Xu",
    "Young", "Zimmer", "Abbott", "Bauer", "Conti", "Dubois", "Evans", "Ferrari", "Graf", "Huber", "Iversen", "Janssen",
    "Klein", "Lopez", "Moreau", "Nilsen",
];
